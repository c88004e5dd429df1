/*
 * listing.c - a directory as a page.
 */
#include "http/files.h"

#include "http/escape.h"
#include "http/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is kept free for the end of the page. */
#define TAIL_MAX 128

struct names {
    char **at; /* each with a slash behind it if it is a directory */
    size_t count, room;
    bool are_all;
};

/* ---- what is there --------------------------------------------------------------- */

/* Could its name come in a path? See uri.h. */
static bool can_be_asked_for(const char *name)
{
    return name[0] != '.' && !strchr(name, '\\') && pf__utf8_is_valid(pf__text_of(name));
}

static bool is_directory(int dir_fd, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    return fstatat(dir_fd, entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int add_name(struct names *names, const char *name, bool is_dir)
{
    if (names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 64;
        char **grown = realloc(names->at, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        names->at = grown;
        names->room = room;
    }
    size_t len = strlen(name);
    char *copy = malloc(len + 2);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name, len);
    memcpy(copy + len, is_dir ? "/" : "", is_dir ? 2 : 1);
    names->at[names->count++] = copy;
    return 0;
}

static int read_names(DIR *dir, struct names *names)
{
    const struct dirent *entry;
    int err = 0;
    while (!err && (errno = 0, entry = readdir(dir))) {
        if (!can_be_asked_for(entry->d_name))
            continue;
        names->are_all = names->count < PF__LISTING_MAX;
        if (!names->are_all)
            return 0;
        err = add_name(names, entry->d_name, is_directory(dirfd(dir), entry));
    }
    return err ? err : -errno;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i]);
    free(names->at);
}

/* ---- the page -------------------------------------------------------------------- */

/* In a link everything is escaped but what RFC 3986 section 2.3 calls unreserved: nothing
 * in it ends an attribute, and none begins with a scheme. */
static void put_link(FILE *to, const char *name)
{
    for (; *name; name++) {
        char c = *name;
        if (pf__is_letter(c) || pf__is_digit(c) || strchr("-._~/", c))
            putc(c, to);
        else
            fprintf(to, "%%%02X", (unsigned)(unsigned char)c);
    }
}

static void put_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        char escaped[PF__ESCAPE_HTML_MAX + 1];
        (void)pf__escape_html((struct pf__text){text, 1}, escaped, sizeof escaped);
        fputs(escaped, to);
    }
}

static void put_head(FILE *to, const char *title, bool is_root)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>", to);
    put_text(to, title);
    fputs("</title>\n<h1>", to);
    put_text(to, title);
    fputs("</h1>\n<ul>\n", to);
    if (!is_root)
        fputs("<li><a href=\"../\">../</a>\n", to);
}

/* How much a name may take: its link, its text, and what is around them. */
static size_t longest(const char *name)
{
    return strlen(name) * (3 + PF__ESCAPE_HTML_MAX) + sizeof "<li><a href=\"\"></a>\n";
}

static void put_page(FILE *to, const struct names *names, const char *title, bool is_root)
{
    put_head(to, title, is_root);
    size_t i = 0;
    for (; i < names->count; i++) {
        const char *name = names->at[i];
        if ((size_t)ftell(to) + longest(name) + TAIL_MAX > PF_HTTP_RESPONSE_BODY_MAX)
            break;
        fputs("<li><a href=\"", to);
        put_link(to, name);
        fputs("\">", to);
        put_text(to, name);
        fputs("</a>\n", to);
    }
    fputs("</ul>\n", to);
    if (i < names->count || !names->are_all)
        fputs("<p>There are more.\n", to);
}

static int write_page(const struct names *names, const char *title, bool is_root,
                      char **html, size_t *len)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        return -ENOMEM;
    put_page(to, names, title, is_root);
    bool failed = ferror(to) != 0;
    failed = fclose(to) != 0 || failed;
    if (failed) {
        free(text);
        return -ENOMEM;
    }
    *html = text;
    *len = size;
    return 0;
}

int pf__listing_new(int dir_fd, const char *title, bool is_root, char **html, size_t *len)
{
    struct names names = {.are_all = true};
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        int err = -errno;
        close(dir_fd);
        return err;
    }
    int err = read_names(dir, &names);
    closedir(dir);
    if (!err && names.count > 0)
        qsort(names.at, names.count, sizeof *names.at, compare);
    if (!err)
        err = write_page(&names, title, is_root, html, len);
    free_names(&names);
    return err;
}
