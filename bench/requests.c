/* requests.c - see requests.h: the mix as a whole, and the file that describes one. What a
 * single request is made of is request_template.c's. */
#include "bench/requests.h"
#include "bench/request_check.h"
#include "bench/request_template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct requests {
    unsigned count;
    uint64_t total; /* of all weights */
    struct request_template *list;
    uint64_t *until; /* weights of the first 1, 2 ... together */
};

/* ---- the mix ----------------------------------------------------------------------- */

static int requests_new(unsigned room, struct requests **out)
{
    struct requests *requests = calloc(1, sizeof *requests);
    if (!requests)
        return -ENOMEM;
    requests->list = calloc(room, sizeof *requests->list);
    requests->until = calloc(room, sizeof *requests->until);
    if (!requests->list || !requests->until) {
        requests_free(requests);
        return -ENOMEM;
    }
    *out = requests;
    return 0;
}

void requests_free(struct requests *requests)
{
    if (!requests)
        return;
    for (unsigned i = 0; i < requests->count; i++)
        request_template_fini(&requests->list[i]);
    free(requests->list);
    free(requests->until);
    free(requests);
}

/* Take in the template behind the last one. */
static void admit(struct requests *requests, uint64_t weight)
{
    struct request *request = &requests->list[requests->count].request;
    request->index = requests->count;
    request->weight = weight;
    requests->total += weight;
    requests->until[requests->count++] = requests->total;
}

int requests_one(const struct request_line *line, struct requests **out, char *why,
                 size_t why_len)
{
    struct requests *requests;
    int err = requests_new(1, &requests);
    if (err)
        return err;
    err = request_compile(line, &requests->list[0], why, why_len);
    if (err) {
        requests_free(requests);
        return err;
    }
    admit(requests, 1);
    *out = requests;
    return 0;
}

int requests_raw(const void *bytes, size_t len, struct requests **out)
{
    if (len == 0)
        return -EINVAL;
    struct requests *requests;
    int err = requests_new(1, &requests);
    if (err)
        return err;
    err = request_compile_raw(bytes, len, &requests->list[0]);
    if (err) {
        requests_free(requests);
        return err;
    }
    admit(requests, 1);
    *out = requests;
    return 0;
}

unsigned requests_count(const struct requests *requests)
{
    return requests->count;
}

const struct request *requests_at(const struct requests *requests, unsigned index)
{
    return &requests->list[index].request;
}

/* An even number below `below`: the upper half of the product. */
static uint64_t scale(uint64_t dice, uint64_t below)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)dice * below >> 64);
}

const struct request *requests_pick(const struct requests *requests, uint64_t dice)
{
    if (requests->count == 1)
        return &requests->list[0].request;
    uint64_t at = scale(dice, requests->total);
    unsigned low = 0, high = requests->count - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (at < requests->until[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return &requests->list[low].request;
}

/* ---- its file ---------------------------------------------------------------------- */

/* Read all of a file, of at most `most` bytes, and add a NUL. Returns 0, -ENOMEM, -EFBIG or
 * what the kernel says. *bytes is to be freed. */
static int read_file(const char *path, size_t most, char **bytes, size_t *len)
{
    FILE *from = fopen(path, "re");
    if (!from)
        return -errno;
    size_t room = 0, used = 0;
    char *text = NULL;
    int err = 0;
    while (!err && !feof(from)) {
        if (used + 1 >= room) {
            room = room ? room * 2 : 65536;
            char *more = realloc(text, room);
            if (!more) {
                err = -ENOMEM;
                break;
            }
            text = more;
        }
        errno = 0;
        used += fread(text + used, 1, room - used - 1, from);
        if (ferror(from))
            err = errno ? -errno : -EIO;
        else if (used > most)
            err = -EFBIG;
    }
    fclose(from);
    if (err) {
        free(text);
        return err;
    }
    text[used] = 0;
    *bytes = text;
    *len = used;
    return 0;
}

/* The request in the making. */
struct draft {
    struct requests *requests;
    const struct request_line *defaults;
    const char *path; /* of the mix */
    unsigned line;    /* that is read now */
    char *why;
    size_t why_len;

    bool open;      /* there is one */
    unsigned begun; /* in this line */
    uint64_t weight;
    struct request_line request;
    const char *fields[REQUESTS_FIELDS_MAX];
    char *body; /* owned */
    bool from_lines;
};

static int wrong(const struct draft *draft, unsigned line, const char *what)
{
    snprintf(draft->why, draft->why_len, "%s:%u: %s", draft->path, line, what);
    return -EINVAL;
}

static bool same_name(const char *a, const char *b)
{
    size_t len = request_field_name(a);
    return len && request_field_name(b) == len && strncasecmp(a, b, len) == 0;
}

/* Add the defaults that the request has no field of its own for. */
static int add_defaults(struct draft *draft)
{
    struct request_line *request = &draft->request;
    const struct request_line *defaults = draft->defaults;
    size_t own = request->header_count;
    for (size_t i = 0; i < defaults->header_count; i++) {
        bool replaced = false;
        for (size_t j = 0; j < own; j++)
            replaced = replaced || same_name(defaults->headers[i], draft->fields[j]);
        if (replaced)
            continue;
        if (request->header_count == REQUESTS_FIELDS_MAX)
            return wrong(draft, draft->begun, "too many header fields; at most 128");
        draft->fields[request->header_count++] = defaults->headers[i];
    }
    return 0;
}

/* The request is complete: take it into the mix. */
static int finish(struct draft *draft)
{
    if (!draft->open)
        return 0;
    struct requests *requests = draft->requests;
    draft->open = false;
    int err = add_defaults(draft);
    if (err)
        return err;
    draft->request.authority = draft->defaults->authority;
    draft->request.close = draft->defaults->close;
    draft->request.headers = draft->fields;
    draft->request.body = draft->body;
    char phrase[200];
    err = request_compile(&draft->request, &requests->list[requests->count], phrase,
                          sizeof phrase);
    free(draft->body);
    draft->body = NULL;
    if (err == -EINVAL)
        return wrong(draft, draft->begun, phrase);
    if (!err)
        admit(requests, draft->weight);
    return err;
}

/* Cut the first word off; NULL if there is none. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    if (!*word)
        return NULL;
    char *end = word + strcspn(word, " \t");
    *at = *end ? end + 1 : end;
    *end = 0;
    return word;
}

/* 1 to REQUESTS_WEIGHT_MAX, else 0. */
static uint64_t parse_weight(const char *text)
{
    uint64_t weight = 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        weight = weight * 10 + (uint64_t)(*text - '0');
        if (weight > REQUESTS_WEIGHT_MAX)
            return 0;
    }
    return weight;
}

/* "7  GET   /path" */
static int begin(struct draft *draft, char *line)
{
    int err = finish(draft);
    if (err)
        return err;
    if (draft->requests->count == REQUESTS_MAX)
        return wrong(draft, draft->line, "too many requests; at most 256");
    const char *weight = next_word(&line);
    const char *method = next_word(&line), *target = next_word(&line);
    draft->weight = weight ? parse_weight(weight) : 0;
    if (!draft->weight || !method || !target)
        return wrong(draft, draft->line,
                     "must be a weight of 1 to 1000000, a method and a target, such as "
                     "1 GET /; what belongs to a request is indented");
    if (next_word(&line))
        return wrong(
            draft, draft->line,
            "has more than a weight, a method and a target; percent-encode blanks");
    draft->request = (struct request_line){.method = method, .target = target};
    draft->begun = draft->line;
    draft->from_lines = false;
    draft->open = true;
    return 0;
}

/* "= text" */
static int add_body_line(struct draft *draft, const char *text)
{
    struct request_line *request = &draft->request;
    if (draft->body && !draft->from_lines)
        return wrong(draft, draft->line, "has a body from a file already");
    text += *text == ' ';
    size_t len = strlen(text), old = draft->body ? request->body_len + 1 : 0;
    char *body = realloc(draft->body, old + len + 1);
    if (!body)
        return -ENOMEM;
    if (old)
        body[old - 1] = '\n';
    memcpy(body + old, text, len);
    draft->body = body;
    draft->from_lines = true;
    request->body_len = old + len;
    return 0;
}

/* "@ file", seen from the mix's folder. */
static int add_body_file(struct draft *draft, const char *name)
{
    name += strspn(name, " \t");
    if (draft->body)
        return wrong(draft, draft->line, "has a second body; one is enough");
    if (!*name)
        return wrong(draft, draft->line, "must name a file: @ FILE");
    const char *slash = *name == '/' ? NULL : strrchr(draft->path, '/');
    int folder = slash ? (int)(slash - draft->path) + 1 : 0;
    char *path;
    if (asprintf(&path, "%.*s%s", folder, draft->path, name) < 0)
        return -ENOMEM;
    int err = read_file(path, REQUESTS_BODY_MAX, &draft->body, &draft->request.body_len);
    free(path);
    draft->request.verbatim = true;
    if (err && err != -ENOMEM)
        snprintf(draft->why, draft->why_len, "%s:%u: %.80s: %s", draft->path, draft->line,
                 name, strerror(-err));
    return err;
}

static int add_field(struct draft *draft, const char *field)
{
    if (!request_field_name(field))
        return wrong(draft, draft->line,
                     "must be a header field ('Name: value'), = and text, or @ and a file");
    if (draft->request.header_count == REQUESTS_FIELDS_MAX)
        return wrong(draft, draft->line, "too many header fields; at most 128");
    draft->fields[draft->request.header_count++] = field;
    return 0;
}

static int take_line(struct draft *draft, char *line)
{
    char *text = line + strspn(line, " \t");
    if (!*text || *text == '#')
        return 0;
    if (text == line)
        return begin(draft, line);
    if (!draft->open)
        return wrong(draft, draft->line, "is indented, but there is no request before it");
    if (*text == '=')
        return add_body_line(draft, text + 1);
    if (*text == '@')
        return add_body_file(draft, text + 1);
    return add_field(draft, text);
}

static int take_lines(struct draft *draft, char *text, size_t len)
{
    for (char *line = text, *end = text + len; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        *stop = 0;
        draft->line++;
        if (strlen(line) != (size_t)(stop - line))
            return wrong(draft, draft->line, "has a NUL byte; a mix is text");
        if (stop > line && stop[-1] == '\r')
            stop[-1] = 0;
        int err = take_line(draft, line);
        if (err)
            return err;
        line = stop + 1;
    }
    int err = finish(draft);
    if (!err && draft->requests->count == 0)
        err = wrong(draft, draft->line ? draft->line : 1,
                    "there is no request; one is: 1 GET /");
    return err;
}

int requests_read(const char *path, const struct request_line *defaults,
                  struct requests **out, char *why, size_t why_len)
{
    char *text;
    size_t len;
    int err = read_file(path, REQUESTS_FILE_MAX, &text, &len);
    if (err) {
        snprintf(why, why_len, "%s: %s", path, strerror(-err));
        return err;
    }
    struct draft draft = {
        .path = path, .defaults = defaults, .why = why, .why_len = why_len};
    err = requests_new(REQUESTS_MAX, &draft.requests);
    if (!err)
        err = take_lines(&draft, text, len);
    free(draft.body);
    free(text);
    if (err) {
        requests_free(draft.requests);
        return err;
    }
    *out = draft.requests;
    return 0;
}
