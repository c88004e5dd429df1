/*
 * mime.c - see mime.h.
 *
 * The file is copied once, into one piece of text where each type and each extension ends
 * with a NUL; the table points into it.
 */
#include "http/mime.h"
#include "http/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHARSET "; charset=utf-8"

/* No extension is longer. */
#define EXTENSION_MAX 32

struct entry {
    const char *extension; /* in lower case */
    const char *type;
};

struct pf__mime {
    char *text;
    struct entry *entries; /* in order */
    size_t count;
};

/* In order. */
static const struct entry builtin[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"bz2", "application/x-bzip2"},
    {"css", "text/css" CHARSET},
    {"csv", "text/csv" CHARSET},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html" CHARSET},
    {"html", "text/html" CHARSET},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", "text/calendar" CHARSET},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript" CHARSET},
    {"json", "application/json"},
    {"map", "application/json"},
    {"md", "text/markdown" CHARSET},
    {"mjs", "text/javascript" CHARSET},
    {"mkv", "video/x-matroska"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain" CHARSET},
    {"wasm", "application/wasm"},
    {"wav", "audio/x-wav"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

/* ---- reading the file ------------------------------------------------------------ */

/* Up to `size` bytes of it; 0 if it cannot be read. */
static size_t read_file(const char *root, char *out, size_t size)
{
    char path[PATH_MAX];
    size_t len = 0;
    int n = snprintf(path, sizeof path, "%s/etc/mime.types", root);
    if (n < 0 || (size_t)n >= sizeof path)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    for (ssize_t got; len < size; len += (size_t)got) {
        got = read(fd, out + len, size - len);
        if (got <= 0) /* what has come so far is whole lines and a piece of one, at worst */
            break;
    }
    close(fd);
    return len;
}

/* type/subtype, RFC 9110 section 8.3.1. */
static bool is_type(struct pf__text text)
{
    struct pf__text type = {text.at, pf__text_find(text, '/')};
    return pf__is_token(type) && pf__is_token(pf__text_skip(text, type.len + 1));
}

/* Take a word off the line: "" at its end. */
static struct pf__text take_word(struct pf__text *line)
{
    *line = pf__text_trim(*line);
    struct pf__text word = {line->at, 0};
    while (word.len < line->len && !pf__is_blank(line->at[word.len]))
        word.len++;
    *line = pf__text_skip(*line, word.len);
    return word;
}

/* Append to the text, in lower case. */
static const char *store(char **end, struct pf__text word, const char *suffix)
{
    char *at = *end;
    for (size_t i = 0; i < word.len; i++)
        at[i] = pf__to_lower(word.at[i]);
    memcpy(at + word.len, suffix, strlen(suffix) + 1);
    *end = at + word.len + strlen(suffix) + 1;
    return at;
}

static void add_line(struct pf__mime *mime, struct pf__text line, char **end)
{
    line.len = pf__text_find(line, '#');
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    struct pf__text type = take_word(&line), extension = take_word(&line);
    if (!is_type(type) || extension.len == 0)
        return;
    bool is_text = type.len > 5 && pf__text_is_word((struct pf__text){type.at, 5}, "text/");
    const char *stored = store(end, type, is_text ? CHARSET : "");
    for (; extension.len > 0; extension = take_word(&line)) {
        if (extension.len > EXTENSION_MAX)
            continue;
        mime->entries[mime->count++] = (struct entry){store(end, extension, ""), stored};
    }
}

/* Of the same extension the one that was stored later comes first. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->extension, y->extension);
    return order ? order : x->extension > y->extension ? -1 : 1;
}

static void sort(struct pf__mime *mime)
{
    size_t kept = 0;
    qsort(mime->entries, mime->count, sizeof *mime->entries, compare);
    for (size_t i = 0; i < mime->count; i++)
        if (kept == 0 ||
            strcmp(mime->entries[kept - 1].extension, mime->entries[i].extension) != 0)
            mime->entries[kept++] = mime->entries[i];
    mime->count = kept;
}

/* Room for all of it: a word's NUL takes the place of the separator behind it, and a line
 * may get a charset; a word with its separator is two bytes at the least. */
static int make_room(struct pf__mime *mime, struct pf__text file)
{
    size_t lines = 1;
    for (size_t i = 0; i < file.len; i++)
        lines += file.at[i] == '\n';
    mime->text = malloc(file.len + lines * sizeof CHARSET + 1);
    mime->entries = calloc(file.len / 2 + 1, sizeof *mime->entries);
    return mime->text && mime->entries ? 0 : -ENOMEM;
}

static int parse(struct pf__mime *mime, struct pf__text file)
{
    struct pf__text line;
    int err = make_room(mime, file);
    if (err)
        return err;
    char *end = mime->text;
    while (pf__text_split(&file, '\n', &line))
        add_line(mime, line, &end);
    sort(mime);
    return 0;
}

int pf__mime_new(const char *root, struct pf__mime **out)
{
    struct pf__mime *mime = calloc(1, sizeof *mime);
    char *file = malloc(PF__MIME_FILE_MAX);
    int err = mime && file ? 0 : -ENOMEM;
    if (!err)
        err =
            parse(mime, (struct pf__text){file, read_file(root, file, PF__MIME_FILE_MAX)});
    free(file);
    if (err)
        pf__mime_free(mime);
    else
        *out = mime;
    return err;
}

void pf__mime_free(struct pf__mime *mime)
{
    if (!mime)
        return;
    free(mime->entries);
    free(mime->text);
    free(mime);
}

/* ---- looking up ------------------------------------------------------------------ */

/* In lower case, into out[EXTENSION_MAX + 1]; false if there is none. */
static bool extension_of(const char *name, size_t len, char *out)
{
    size_t from = len;
    while (from > 0 && name[from - 1] != '.' && name[from - 1] != '/')
        from--;
    if (from < 2 || name[from - 1] != '.' || name[from - 2] == '/' ||
        len - from > EXTENSION_MAX || from == len)
        return false;
    for (size_t i = from; i < len; i++)
        out[i - from] = pf__to_lower(name[i]);
    out[len - from] = '\0';
    return true;
}

static int compare_key(const void *key, const void *entry)
{
    return strcmp(key, ((const struct entry *)entry)->extension);
}

const char *pf__mime_type(const struct pf__mime *mime, const char *name, size_t len)
{
    char extension[EXTENSION_MAX + 1];
    const struct entry *found = NULL;
    if (!extension_of(name, len, extension))
        return PF__MIME_UNKNOWN;
    if (mime && mime->count > 0)
        found = bsearch(extension, mime->entries, mime->count, sizeof *found, compare_key);
    if (!found)
        found = bsearch(extension, builtin, sizeof builtin / sizeof *builtin, sizeof *found,
                        compare_key);
    return found ? found->type : PF__MIME_UNKNOWN;
}
