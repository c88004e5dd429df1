/*
 * file_answer.c - an open file: what a client is told of it, under which conditions, and
 * how much of it is sent.
 */
#include "http/files.h"

#include "http/conditional.h"
#include "http/internal.h"

#include <string.h>
#include <time.h>

/* Dates of HTTP have years of four digits. */
#define FIRST_SECOND (-62167219200)
#define LAST_SECOND  253402300799

/* ---- fields of the request ------------------------------------------------------- */

struct pf__texts pf__file_lines_of(const pf_http_request *request, const char *name,
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
    struct pf__texts found = pf__file_lines_of(request, name, lines);
    return found.count == 1 ? found.at[0] : (struct pf__text){NULL, 0};
}

/* Sent twice it names nothing that could be there. */
static struct pf__text if_range_of(const pf_http_request *request)
{
    struct pf__text lines[PF_HTTP_FIELDS_MAX];
    struct pf__texts found = pf__file_lines_of(request, "If-Range", lines);
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
void pf__file_describe(struct pf__file *file, const struct stat *st)
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

static struct pf__etag tag_of(const struct pf__file *file)
{
    struct pf__text rest = pf__text_of(file->tag);
    struct pf__etag tag = {0};
    (void)pf__etag_next(&rest, &tag);
    return tag;
}

/* The fields of 200, 206 and 304. */
static int set_common_fields(pf_http_request *request, const struct pf__file *file)
{
    int err = pf_http_set_field(request, "ETag", file->tag);
    if (!err && file->cache_control)
        err = pf_http_set_field(request, "Cache-Control", file->cache_control);
    return err;
}

static int set_fields(pf_http_request *request, const struct pf__file *file)
{
    static const char *const codings[PF__CODINGS] = {
        [PF__CODING_GZIP] = "gzip", [PF__CODING_BR] = "br"};
    char date[PF__HTTP_DATE_LEN + 1] = "";
    int err = set_common_fields(request, file);
    if (!err && file->modified != PF__NO_DATE) {
        pf__http_date_write(file->modified, date);
        err = pf_http_set_field(request, "Last-Modified", date);
    }
    if (!err && codings[file->coding])
        err = pf_http_set_field(request, "Content-Encoding", codings[file->coding]);
    return err ? err : pf_http_set_field(request, "Accept-Ranges", "bytes");
}

/* ---- answers --------------------------------------------------------------------- */

static int answer_not_modified(pf_http_request *request, const struct pf__file *file)
{
    int err = set_common_fields(request, file);
    return err ? err : pf_http_respond(request, 304, NULL, NULL, 0);
}

static int answer_unsatisfiable(pf_http_request *request, const struct pf__file *file)
{
    static const char text[] = "Range Not Satisfiable";
    char range[PF__CONTENT_RANGE_MAX];
    (void)pf__range_format(NULL, file->size, range);
    int err = pf_http_set_field(request, "Content-Range", range);
    return err ? err : pf_http_respond(request, 416, "text/plain", text, sizeof text - 1);
}

/* From here on the descriptor is the response's. */
static int send_whole(pf_http_request *request, struct pf__file *file)
{
    int fd = file->fd, err = set_fields(request, file);
    if (err)
        return err;
    file->fd = -1;
    return pf_http_respond_file(request, file->type, fd, 0, file->size);
}

static int send_range(pf_http_request *request, struct pf__file *file,
                      const struct pf__range *range)
{
    char text[PF__CONTENT_RANGE_MAX];
    (void)pf__range_format(range, file->size, text);
    int fd = file->fd, err = set_fields(request, file);
    if (!err)
        err = pf_http_set_field(request, "Content-Range", text);
    if (!err)
        err = pf_http_set_status(request, 206);
    if (err)
        return err;
    file->fd = -1;
    return pf_http_respond_file(request, file->type, fd, range->first, range->len);
}

static int send_ranges(pf_http_request *request, struct pf__file *file,
                       const struct pf__ranges *ranges)
{
    int fd = file->fd, err = set_fields(request, file);
    if (err)
        return err;
    file->fd = -1;
    return pf__byteranges_respond(request, fd, file->size, file->type, ranges);
}

/* Which of its bytes? Returns as pf__range_parse(). */
static int choose_ranges(const pf_http_request *request, const struct pf__file *file,
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

int pf__file_answer(pf_http_request *request, struct pf__file *file)
{
    struct pf__text match[PF_HTTP_FIELDS_MAX], none_match[PF_HTTP_FIELDS_MAX];
    const struct pf__conditions conditions = {
        .is_get = is_get(request) || request->parser.method == PF_HTTP_HEAD,
        .if_match = pf__file_lines_of(request, "If-Match", match),
        .if_none_match = pf__file_lines_of(request, "If-None-Match", none_match),
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
        return answer_not_modified(request, file);
    status = choose_ranges(request, file, &conditions, &current, &ranges);
    if (status == 416)
        return answer_unsatisfiable(request, file);
    if (status == 200)
        return send_whole(request, file);
    return ranges.count == 1 ? send_range(request, file, &ranges.at[0])
                             : send_ranges(request, file, &ranges);
}
