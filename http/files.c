/*
 * files.c - the files below a directory: which one is asked for, in which form, under which
 * conditions, and how much of it.
 *
 * Nothing is kept between requests: what is served is what is there now. All that a client
 * is told of a file comes from one fstat(2) of the descriptor that is then sent.
 */
#include "http/files.h"

#include "http/conditional.h"
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
#include <time.h>
#include <unistd.h>

/* "W/" and three numbers of 64 bits in quotes. */
#define TAG_MAX (sizeof "W/\"ffffffffffffffff-ffffffffffffffff-ffffffffffffffff\"")

/* Dates of HTTP have years of four digits. */
#define FIRST_SECOND (-62167219200)
#define LAST_SECOND  253402300799

struct pf_http_files {
    int root;
    struct pf__mime *mime;
    char *index; /* "": none */
    char *cache_control;
    bool listing;
};

/* An open file, as it is to be sent. */
struct file {
    int fd;
    const char *type;
    enum pf__coding coding;
    uint64_t size;
    int64_t now;      /* in seconds since 1970 */
    int64_t modified; /* or PF__NO_DATE */
    char tag[TAG_MAX];
    bool is_weak; /* the tag, and the date */
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

/* ---- fields of the request ------------------------------------------------------- */

/* Its lines, into lines[PF_HTTP_FIELDS_MAX]. */
static struct pf__texts lines_of(const pf_http_request *request, const char *name,
                                 struct pf__text *lines)
{
    size_t count = 0;
    for (uint32_t i = 0; i < request->parser.field_count; i++) {
        const struct pf_http_field *field = &request->parser.fields[i];
        struct pf__text found = {request->head + field->name.at, field->name.len};
        if (pf__text_is_word(found, name))
            lines[count++] =
                (struct pf__text){request->head + field->value.at, field->value.len};
    }
    return (struct pf__texts){lines, count};
}

/* Its only line; `at` is NULL if there is none, or more. */
static struct pf__text line_of(const pf_http_request *request, const char *name)
{
    struct pf__text lines[PF_HTTP_FIELDS_MAX];
    struct pf__texts found = lines_of(request, name, lines);
    return found.count == 1 ? found.at[0] : (struct pf__text){NULL, 0};
}

/* Sent twice it names nothing that could be there. */
static struct pf__text if_range_of(const pf_http_request *request)
{
    struct pf__text lines[PF_HTTP_FIELDS_MAX];
    struct pf__texts found = lines_of(request, "If-Range", lines);
    return found.count > 1 ? (struct pf__text){"", 0} : line_of(request, "If-Range");
}

static bool is_get(const pf_http_request *request)
{
    return request->parser.method == PF_HTTP_GET;
}

/* ---- what a client is told of a file --------------------------------------------- */

static char *put_hex(char *to, uint64_t number)
{
    char digits[16];
    char *end = digits + sizeof digits, *p = end;
    do
        *--p = "0123456789abcdef"[number % 16];
    while (number /= 16);
    memcpy(to, p, (size_t)(end - p));
    return to + (end - p);
}

static void write_tag(const struct stat *st, bool is_weak, char *to)
{
    if (is_weak) {
        *to++ = 'W';
        *to++ = '/';
    }
    *to++ = '"';
    to = put_hex(to, (uint64_t)st->st_size);
    *to++ = '-';
    to = put_hex(to,
                 (uint64_t)st->st_mtim.tv_sec * PF_SECOND + (uint64_t)st->st_mtim.tv_nsec);
    *to++ = '-';
    to = put_hex(to, (uint64_t)st->st_ino);
    *to++ = '"';
    *to = '\0';
}

/* The validators. A date in the future would be a lie: RFC 9110 section 8.8.2.1. */
static void describe(struct file *file, const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* as the kernel does for its files */
    const struct timespec *modified = &st->st_mtim;
    bool is_second_ago =
        modified->tv_sec < now.tv_sec - 1 ||
        (modified->tv_sec == now.tv_sec - 1 && modified->tv_nsec <= now.tv_nsec);
    file->size = (uint64_t)st->st_size;
    file->now = now.tv_sec;
    file->modified = modified->tv_sec < now.tv_sec ? modified->tv_sec : now.tv_sec;
    if (file->modified < FIRST_SECOND || file->modified > LAST_SECOND)
        file->modified = PF__NO_DATE;
    file->is_weak = !is_second_ago;
    write_tag(st, file->is_weak, file->tag);
}

static struct pf__etag tag_of(const struct file *file)
{
    struct pf__text rest = pf__text_of(file->tag);
    struct pf__etag tag = {0};
    (void)pf__etag_next(&rest, &tag);
    return tag;
}

/* The fields of 200, 206 and 304. */
static int set_common_fields(pf_http_request *request, const pf_http_files *files,
                             const struct file *file)
{
    int err = pf_http_set_field(request, "ETag", file->tag);
    if (!err && files->cache_control)
        err = pf_http_set_field(request, "Cache-Control", files->cache_control);
    return err;
}

static int set_fields(pf_http_request *request, const pf_http_files *files,
                      const struct file *file)
{
    static const char *const codings[PF__CODINGS] = {
        [PF__CODING_GZIP] = "gzip", [PF__CODING_BR] = "br"};
    char date[PF__HTTP_DATE_LEN + 1] = "";
    int err = set_common_fields(request, files, file);
    if (!err && file->modified != PF__NO_DATE) {
        pf__http_date_write(file->modified, date);
        err = pf_http_set_field(request, "Last-Modified", date);
    }
    if (!err && codings[file->coding])
        err = pf_http_set_field(request, "Content-Encoding", codings[file->coding]);
    return err ? err : pf_http_set_field(request, "Accept-Ranges", "bytes");
}

/* ---- answers --------------------------------------------------------------------- */

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

static int answer_not_modified(pf_http_request *request, const pf_http_files *files,
                               const struct file *file)
{
    int err = set_common_fields(request, files, file);
    return err ? err : pf_http_respond(request, 304, NULL, NULL, 0);
}

static int answer_unsatisfiable(pf_http_request *request, const struct file *file)
{
    static const char text[] = "Range Not Satisfiable";
    char range[PF__CONTENT_RANGE_MAX];
    (void)pf__range_format(NULL, file->size, range);
    int err = pf_http_set_field(request, "Content-Range", range);
    return err ? err : pf_http_respond(request, 416, "text/plain", text, sizeof text - 1);
}

/* From here on the descriptor is the response's. */
static int send_whole(pf_http_request *request, const pf_http_files *files,
                      struct file *file)
{
    int fd = file->fd, err = set_fields(request, files, file);
    if (err)
        return err;
    file->fd = -1;
    return pf_http_respond_file(request, file->type, fd, 0, file->size);
}

static int send_range(pf_http_request *request, const pf_http_files *files,
                      struct file *file, const struct pf__range *range)
{
    char text[PF__CONTENT_RANGE_MAX];
    (void)pf__range_format(range, file->size, text);
    int fd = file->fd, err = set_fields(request, files, file);
    if (!err)
        err = pf_http_set_field(request, "Content-Range", text);
    if (!err)
        err = pf_http_set_status(request, 206);
    if (err)
        return err;
    file->fd = -1;
    return pf_http_respond_file(request, file->type, fd, range->first, range->len);
}

static int send_ranges(pf_http_request *request, const pf_http_files *files,
                       struct file *file, const struct pf__ranges *ranges)
{
    int fd = file->fd, err = set_fields(request, files, file);
    if (err)
        return err;
    file->fd = -1;
    return pf__byteranges_respond(request, fd, file->size, file->type, ranges);
}

/* Which of its bytes? Returns as pf__range_parse(). */
static int choose_ranges(const pf_http_request *request, const struct file *file,
                         const struct pf__conditions *conditions,
                         const struct pf__current *current, struct pf__ranges *ranges)
{
    struct pf__text asked =
        is_get(request) ? line_of(request, "Range") : (struct pf__text){NULL, 0};
    struct pf__current known = *current;
    if (file->is_weak)
        known.modified = PF__NO_DATE; /* RFC 9110 section 8.8.2.2 */
    if (!asked.at || !pf__conditional_wants_range(conditions, &known))
        return 200;
    int status = pf__range_parse(asked, file->size, ranges);
    bool too_many = status == 206 && ranges->count > 1 && request->blocking;
    return too_many ? 200 : status;
}

static int answer_file(pf_http_request *request, const pf_http_files *files,
                       struct file *file)
{
    struct pf__text match[PF_HTTP_FIELDS_MAX], none_match[PF_HTTP_FIELDS_MAX];
    const struct pf__conditions conditions = {
        .is_get = is_get(request) || request->parser.method == PF_HTTP_HEAD,
        .if_match = lines_of(request, "If-Match", match),
        .if_none_match = lines_of(request, "If-None-Match", none_match),
        .if_unmodified_since = line_of(request, "If-Unmodified-Since"),
        .if_modified_since = line_of(request, "If-Modified-Since"),
        .if_range = if_range_of(request),
        .now = file->now,
    };
    const struct pf__current current = {
        .exists = true, .etag = tag_of(file), .modified = file->modified};
    struct pf__ranges ranges;
    int status = pf__conditional_check(&conditions, &current);
    if (status == 412)
        return pf_http_respond_error(request, 412);
    if (status == 304)
        return answer_not_modified(request, files, file);
    status = choose_ranges(request, file, &conditions, &current, &ranges);
    if (status == 416)
        return answer_unsatisfiable(request, file);
    if (status == 200)
        return send_whole(request, files, file);
    return ranges.count == 1 ? send_range(request, files, file, &ranges.at[0])
                             : send_ranges(request, files, file, &ranges);
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
                        const char *path, struct file *file, struct stat *st)
{
    static const char *const suffixes[PF__CODINGS] = {
        [PF__CODING_GZIP] = ".gz", [PF__CODING_BR] = ".br"};
    struct pf__text lines[PF_HTTP_FIELDS_MAX];
    struct pf__accepted accepted;
    bool there[PF__CODINGS] = {true, true, true}; /* as long as it has not been tried */
    enum pf__coding coding;
    struct stat other;
    pf__negotiate_read(lines_of(request, "Accept-Encoding", lines), &accepted);
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
    struct file file = {.fd = fd, .type = pf__mime_type(files->mime, path, strlen(path))};
    int err = 0;
    if (compresses(file.type)) {
        choose_form(request, files, path, &file, st);
        err = pf_http_add_field(request, "Vary", "Accept-Encoding");
    }
    describe(&file, st);
    int result = err ? err : answer_file(request, files, &file);
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
