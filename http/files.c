/*
 * files.c - the files below a directory: which one is asked for, and in which form; what is
 * then sent of it is file_answer.c's.
 *
 * Nothing is kept between requests: what is served is what is there now. All that a client
 * is told of a file comes from one fstat(2) of the descriptor that is then sent.
 */
#include "http/files.h"

#include "http/internal.h"
#include "http/mime.h"
#include "http/negotiate.h"
#include "http/uri.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pf_http_files {
    int root;
    struct pf__mime *mime;
    char *index; /* "": none */
    char *cache_control;
    bool listing;
};

/* ---- life ------------------------------------------------------------------------ */

static bool is_name(const char *name)
{
    return name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

static bool is_value(const char *value)
{
    for (; *value; value++)
        if (pf__is_control(*value) && *value != '\t')
            return false;
    return true;
}

static int fill_in(struct pf_http_files *files, const char *root,
                   const struct pf_http_files_options *options)
{
    files->listing = options->listing;
    files->index = strdup(options->index ? options->index : "index.html");
    if (options->cache_control)
        files->cache_control = strdup(options->cache_control);
    if (!files->index || (options->cache_control && !files->cache_control))
        return -ENOMEM;
    files->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return files->root == -1 ? -errno : pf__mime_new("", &files->mime);
}

int pf_http_files_new(const char *root, const struct pf_http_files_options *options,
                      pf_http_files **out)
{
    static const struct pf_http_files_options standard = {PF_HTTP_FILES_OPTIONS};
    if (!options)
        options = &standard;
    if (!root || (options->index && !is_name(options->index)) ||
        (options->cache_control && !is_value(options->cache_control)))
        return -EINVAL;
    struct pf_http_files *files = malloc(sizeof *files);
    if (!files)
        return -ENOMEM;
    *files = (struct pf_http_files){.root = -1};
    int err = fill_in(files, root, options);
    if (err)
        pf_http_files_free(files);
    else
        *out = files;
    return err;
}

void pf_http_files_free(pf_http_files *files)
{
    if (!files)
        return;
    if (files->root >= 0)
        close(files->root);
    pf__mime_free(files->mime);
    free(files->index);
    free(files->cache_control);
    free(files);
}

/* ---- errors ----------------------------------------------------------------------- */

/* What open(2) and the like said. */
static int answer_error(pf_http_request *request, int err)
{
    switch (-err) {
    case ENOENT:
    case ENOTDIR:
    case EXDEV:
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL: /* a name that this file system cannot have */
    case ENXIO:
    case ENODEV:
        return pf_http_respond_error(request, 404);
    case EACCES:
    case EPERM:
        return pf_http_respond_error(request, 403);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return pf_http_respond_error(request, 503);
    default:
        return err;
    }
}

/* ---- forms of a file ------------------------------------------------------------- */

/* Is it worth while to have it compressed? Most that is no text is compressed already. */
static bool compresses(const char *type)
{
    static const char *const types[] = {"application/javascript",
                                        "application/json",
                                        "application/manifest+json",
                                        "application/wasm",
                                        "application/xml",
                                        "application/xhtml+xml",
                                        "application/rss+xml",
                                        "application/ld+json",
                                        "application/atom+xml",
                                        "image/svg+xml",
                                        "font/ttf",
                                        "font/otf"};
    if (strncmp(type, "text/", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* Open the regular file at `path` with `suffix` behind it. Returns it or a negative errno.
 */
static int open_regular(const pf_http_files *files, const char *path, const char *suffix,
                        struct stat *st)
{
    char name[PATH_MAX];
    size_t len = strlen(path), suffix_len = strlen(suffix);
    if (len + suffix_len >= sizeof name)
        return -ENAMETOOLONG;
    memcpy(name, path, len);
    memcpy(name + len, suffix, suffix_len + 1);
    int fd = pf__beneath_open(files->root, name);
    if (fd < 0)
        return fd;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    close(fd);
    return -ENOENT;
}

/* Exchange it for the form that the client likes best. */
static void choose_form(const pf_http_request *request, const pf_http_files *files,
                        const char *path, struct pf__file *file, struct stat *st)
{
    static const char *const suffixes[PF__CODINGS] = {
        [PF__CODING_GZIP] = ".gz", [PF__CODING_BR] = ".br"};
    struct pf__text lines[PF_HTTP_FIELDS_MAX];
    struct pf__accepted accepted;
    bool there[PF__CODINGS] = {true, true, true}; /* as long as it has not been tried */
    enum pf__coding coding;
    struct stat other;
    pf__negotiate_read(pf__file_lines_of(request, "Accept-Encoding", lines), &accepted);
    while ((coding = pf__negotiate_choose(&accepted, there)) != PF__CODING_IDENTITY) {
        int fd = open_regular(files, path, suffixes[coding], &other);
        if (fd >= 0) {
            close(file->fd);
            file->fd = fd;
            file->coding = coding;
            *st = other;
            return;
        }
        there[coding] = false;
    }
}

/* `fd`, which is ours, is the regular file at `path`. */
static int serve_regular(pf_http_request *request, const pf_http_files *files,
                         const char *path, int fd, struct stat *st)
{
    struct pf__file file = {.fd = fd,
                            .type = pf__mime_type(files->mime, path, strlen(path)),
                            .cache_control = files->cache_control};
    int err = 0;
    if (compresses(file.type)) {
        choose_form(request, files, path, &file, st);
        err = pf_http_add_field(request, "Vary", "Accept-Encoding");
    }
    pf__file_describe(&file, st);
    int result = err ? err : pf__file_answer(request, &file);
    if (file.fd >= 0)
        close(file.fd);
    return result;
}

/* ---- directories ----------------------------------------------------------------- */

/* The same with a slash, and the query. */
static int redirect_to_directory(pf_http_request *request)
{
    char location[PF_HTTP_TARGET_MAX + 2];
    size_t path_len, query_len;
    const char *path = pf_http_get_path(request, &path_len);
    const char *query = pf_http_get_query(request, &query_len);
    if (path_len + query_len + sizeof "/?" > sizeof location)
        return pf_http_respond_error(request, 414);
    memcpy(location, path, path_len);
    size_t len = path_len;
    location[len++] = '/';
    if (query_len > 0) {
        location[len++] = '?';
        memcpy(location + len, query, query_len);
        len += query_len;
    }
    location[len] = '\0';
    return pf_http_redirect(request, 301, location);
}

/* `fd` is ours. */
static int answer_listing(pf_http_request *request, const char *name, int fd)
{
    static const char before[] = "Index of ";
    char title[sizeof before + PF_HTTP_TARGET_MAX];
    size_t path_len, len;
    const char *path = pf_http_get_path(request, &path_len);
    char *html;
    memcpy(title, before, sizeof before);
    char *decoded = title + sizeof before - 1;
    if (pf__uri_decode((struct pf__text){path, path_len}, PF__URI_PATH, decoded,
                       sizeof title - sizeof before + 1) < 0)
        *decoded = '\0';
    int err = pf__listing_new(fd, title, !*name, &html, &len);
    if (err)
        return answer_error(request, err);
    err = pf_http_set_field(request, "Cache-Control", "no-cache");
    if (!err)
        err = pf_http_respond(request, 200, "text/html; charset=utf-8", html, len);
    free(html);
    return err;
}

/* Its index, or what is in it. `fd` is ours; the name is "" or ends with a slash. */
static int serve_directory(pf_http_request *request, const pf_http_files *files,
                           const char *name, int fd)
{
    struct stat st;
    int index = *files->index ? open_regular(files, name, files->index, &st) : -ENOENT;
    bool lists = index == -ENOENT && files->listing;
    if (lists)
        return answer_listing(request, name, fd);
    close(fd);
    if (index < 0)
        return answer_error(request, index);
    char path[PATH_MAX]; /* open_regular() has seen that it fits */
    size_t len = strlen(name);
    memcpy(path, name, len);
    memcpy(path + len, files->index, strlen(files->index) + 1);
    return serve_regular(request, files, path, index, &st);
}

/* ---- for applications ------------------------------------------------------------ */

/* A dot at the beginning of a segment. */
static bool is_hidden(const char *name)
{
    return name[0] == '.' || strstr(name, "/.");
}

int pf_http_serve_file(pf_http_request *request, pf_http_files *files, const char *name)
{
    struct stat st;
    int err = !files || !name ? -EINVAL : pf__http_check(request);
    if (err)
        return err;
    if (is_hidden(name))
        return pf_http_respond_error(request, 403);
    int fd = pf__beneath_open(files->root, name);
    if (fd < 0)
        return answer_error(request, fd);
    if (fstat(fd, &st) != 0) {
        err = -errno;
        close(fd);
        return err;
    }
    if (S_ISREG(st.st_mode))
        return serve_regular(request, files, name, fd, &st);
    size_t len = strlen(name);
    if (S_ISDIR(st.st_mode) && (len == 0 || name[len - 1] == '/'))
        return serve_directory(request, files, name, fd);
    close(fd);
    return S_ISDIR(st.st_mode) ? redirect_to_directory(request)
                               : pf_http_respond_error(request, 404);
}

/* What the route has left open, with a slash in front. */
static struct pf__text rest_of(pf_http_request *request, char *text)
{
    const struct pf__captures *captures = &request->captures;
    struct pf__text path;
    path.at = pf_http_get_path(request, &path.len);
    if (captures->count == 0)
        return path;
    struct pf__text rest = captures->at[captures->count - 1];
    text[0] = '/';
    if (rest.len > 0)
        memcpy(text + 1, rest.at, rest.len);
    return (struct pf__text){text, rest.len + 1};
}

int pf_http_files_handler(pf_http_request *request, void *arg)
{
    char text[PF_HTTP_TARGET_MAX + 1], name[PATH_MAX];
    int len = pf__uri_file_name(rest_of(request, text), name, sizeof name);
    if (len < 0)
        return pf_http_respond_error(request, len == -EACCES ? 403 : 404);
    return pf_http_serve_file(request, arg, name);
}
