/*
 * multipart.c - multipart/form-data; see multipart.h.
 *
 * A delimiter is CR LF "--" and the boundary (RFC 2046 section 5.1.1). No CR is in it but
 * the first byte, so a match that fails can begin anew only at the byte that failed it. At
 * the beginning of a body, and of a part's data, the CR LF counts as seen: it ended the
 * line before.
 */
#include "http/multipart.h"

#include <errno.h>

enum state {
    DATA,      /* looking for the delimiter; outside of a part all is dropped */
    DELIMITER, /* behind it: "--", or the end of its line */
    CLOSING,   /* behind one '-' */
    PADDING,   /* blanks behind it */
    PADDED,    /* a CR behind it */
    HEAD,
    HEAD_CR, /* a CR within the head */
    DONE,
    FAILED,
};

static void expect_delimiter(struct pf__multipart *multipart, size_t imagined)
{
    multipart->state = DATA;
    multipart->matched = multipart->imagined = imagined;
}

/* ---- fields and their parameters ------------------------------------------------- */

/* Take "; name=value" off a field: 1, 0 at its end, or -EBADMSG. A quoted value is without
 * its quotes; escapes are still in it, and *quoted says so. */
static int next_parameter(struct pf__text *rest, struct pf__text *name,
                          struct pf__text *value, bool *quoted)
{
    struct pf__text text = pf__text_trim(*rest);
    while (text.len > 0 && text.at[0] == ';')
        text = pf__text_trim(pf__text_skip(text, 1));
    if (text.len == 0)
        return 0;
    *name = (struct pf__text){text.at, pf__text_find(text, '=')};
    if (!pf__is_token(*name) || name->len == text.len)
        return -EBADMSG;
    text = pf__text_skip(text, name->len + 1);
    *quoted = text.len > 0 && text.at[0] == '"';
    size_t len = *quoted ? 1 : 0;
    while (len < text.len && text.at[len] != (*quoted ? '"' : ';'))
        len += *quoted && text.at[len] == '\\' && len + 1 < text.len ? 2 : 1;
    if (*quoted && len >= text.len)
        return -EBADMSG;
    *value = *quoted ? (struct pf__text){text.at + 1, len - 1}
                     : pf__text_trim((struct pf__text){text.at, len});
    *rest = pf__text_trim(pf__text_skip(text, len + *quoted));
    return rest->len > 0 && rest->at[0] != ';' ? -EBADMSG : 1;
}

/* Into out[size] with a NUL. Only \" and \\ are escapes: some clients send paths of Windows
 * as they are. */
static int keep(struct pf__text value, bool quoted, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        bool is_escape = quoted && value.at[i] == '\\' && i + 1 < value.len &&
                         (value.at[i + 1] == '"' || value.at[i + 1] == '\\');
        if (len + 1 >= size)
            return -E2BIG;
        out[len++] = value.at[is_escape ? ++i : i];
    }
    out[len] = '\0';
    return 0;
}

/* What stands before the parameters. */
static struct pf__text take_value(struct pf__text *field)
{
    struct pf__text value = {field->at, pf__text_find(*field, ';')};
    *field = pf__text_skip(*field, value.len);
    return pf__text_trim(value);
}

static int read_disposition(struct pf__multipart *multipart, struct pf__text field)
{
    struct pf__text name, value;
    bool quoted, has_name = false;
    int more;
    if (multipart->has_disposition || !pf__text_is_word(take_value(&field), "form-data"))
        return -EBADMSG;
    multipart->has_disposition = true;
    while ((more = next_parameter(&field, &name, &value, &quoted)) > 0) {
        bool is_name = pf__text_is_word(name, "name");
        if (!is_name && !pf__text_is_word(name, "filename"))
            continue;
        bool *seen = is_name ? &has_name : &multipart->has_filename;
        if (*seen)
            return -EBADMSG;
        *seen = true;
        int err = keep(value, quoted, is_name ? multipart->name : multipart->filename,
                       PF__MULTIPART_NAME_MAX);
        if (err)
            return err;
    }
    return more == 0 && has_name ? 0 : -EBADMSG;
}

static int read_line(struct pf__multipart *multipart)
{
    struct pf__text line = {multipart->line, multipart->line_len};
    struct pf__text name = {line.at, pf__text_find(line, ':')};
    struct pf__text value = pf__text_trim(pf__text_skip(line, name.len + 1));
    if (name.len == line.len || !pf__is_token(name))
        return -EBADMSG;
    if (pf__text_is_word(name, "Content-Disposition"))
        return read_disposition(multipart, value);
    if (pf__text_is_word(name, "Content-Type"))
        return keep(value, false, multipart->content_type, PF__MULTIPART_TYPE_MAX);
    return 0;
}

/* ---- bytes ----------------------------------------------------------------------- */

static int begin_head(struct pf__multipart *multipart)
{
    if (multipart->parts++ >= multipart->parts_max)
        return -E2BIG;
    multipart->name[0] = multipart->filename[0] = multipart->content_type[0] = '\0';
    multipart->has_filename = multipart->has_disposition = false;
    multipart->head_len = multipart->line_len = 0;
    multipart->state = HEAD;
    return PF__MULTIPART_MORE;
}

/* The line of the head is complete. */
static int end_line(struct pf__multipart *multipart)
{
    multipart->state = HEAD;
    if (multipart->line_len > 0) {
        int err = read_line(multipart);
        multipart->line_len = 0;
        return err;
    }
    if (!multipart->has_disposition)
        return -EBADMSG;
    multipart->in_part = true;
    expect_delimiter(multipart, 2);
    return PF__MULTIPART_PART;
}

static int take_head_byte(struct pf__multipart *multipart, char c)
{
    if (++multipart->head_len > PF__MULTIPART_HEAD_MAX)
        return -E2BIG;
    if (multipart->state == HEAD_CR)
        return c == '\n' ? end_line(multipart) : -EBADMSG;
    if (c == '\r') {
        multipart->state = HEAD_CR;
        return PF__MULTIPART_MORE;
    }
    if (pf__is_control(c) && c != '\t')
        return -EBADMSG;
    if (multipart->line_len == sizeof multipart->line)
        return -E2BIG;
    multipart->line[multipart->line_len++] = c;
    return PF__MULTIPART_MORE;
}

/* A byte that is no data. */
static int take_byte(struct pf__multipart *multipart, char c)
{
    switch ((enum state)multipart->state) {
    case DELIMITER:
        if (c == '-') {
            multipart->state = CLOSING;
            return PF__MULTIPART_MORE;
        }
        multipart->state = PADDING;
        return take_byte(multipart, c);
    case PADDING:
        if (c == '\r')
            multipart->state = PADDED;
        return c == '\r' || pf__is_blank(c) ? PF__MULTIPART_MORE : -EBADMSG;
    case PADDED:
        return c == '\n' ? begin_head(multipart) : -EBADMSG;
    case CLOSING:
        if (c != '-')
            return -EBADMSG;
        multipart->state = DONE;
        multipart->done = true;
        return PF__MULTIPART_DONE;
    case HEAD:
    case HEAD_CR:
        return take_head_byte(multipart, c);
    case DATA:
    case DONE:
    case FAILED:
        break;
    }
    return -EBADMSG;
}

/* ---- data ------------------------------------------------------------------------ */

/* The bytes of a delimiter that turned out to be none: data, if they were there. */
static int give_back(struct pf__multipart *multipart, struct pf__text *piece)
{
    *piece = (struct pf__text){multipart->delimiter + multipart->imagined,
                               multipart->matched - multipart->imagined};
    multipart->matched = multipart->imagined = 0;
    return multipart->in_part && piece->len > 0 ? PF__MULTIPART_DATA : PF__MULTIPART_MORE;
}

/* Go on with a delimiter that has begun. */
static int match(struct pf__multipart *multipart, struct pf__text rest, size_t *used,
                 struct pf__text *piece)
{
    size_t i = 0;
    while (i < rest.len && multipart->matched < multipart->delimiter_len &&
           rest.at[i] == multipart->delimiter[multipart->matched]) {
        multipart->matched++;
        i++;
    }
    *used += i;
    if (multipart->matched == multipart->delimiter_len) {
        bool ends = multipart->in_part;
        multipart->state = DELIMITER;
        multipart->in_part = false;
        return ends ? PF__MULTIPART_PART_END : PF__MULTIPART_MORE;
    }
    return i < rest.len ? give_back(multipart, piece) : PF__MULTIPART_MORE;
}

/* Some bytes of data, or of a delimiter. */
static int run_data(struct pf__multipart *multipart, struct pf__text rest, size_t *used,
                    struct pf__text *piece)
{
    if (multipart->matched > 0)
        return match(multipart, rest, used, piece);
    size_t len = pf__text_find(rest, '\r');
    *used += len;
    if (len > 0 && multipart->in_part) {
        *piece = (struct pf__text){rest.at, len};
        return PF__MULTIPART_DATA;
    }
    if (len < rest.len) {
        ++*used;
        multipart->matched = 1;
    }
    return PF__MULTIPART_MORE;
}

/* ---- for the other files --------------------------------------------------------- */

/* RFC 2046 section 5.1.1: bchars, and no blank at the end. */
static bool is_boundary(struct pf__text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!pf__is_letter(text.at[i]) && !pf__is_digit(text.at[i]) &&
            (!text.at[i] || !strchr("'()+_,-./:=? ", text.at[i])))
            return false;
    return text.len > 0 && text.len <= PF__MULTIPART_BOUNDARY_MAX &&
           text.at[text.len - 1] != ' ';
}

int pf__multipart_start(struct pf__multipart *multipart, struct pf__text content_type,
                        unsigned parts_max)
{
    struct pf__text boundary = {NULL, 0}, name, value;
    bool quoted;
    int more;
    if (!pf__text_is_word(take_value(&content_type), "multipart/form-data"))
        return -ENOTSUP;
    while ((more = next_parameter(&content_type, &name, &value, &quoted)) > 0) {
        if (!pf__text_is_word(name, "boundary"))
            continue;
        if (boundary.at)
            return -EINVAL;
        boundary = value;
    }
    if (more < 0 || !is_boundary(boundary))
        return -EINVAL;
    memset(multipart, 0, offsetof(struct pf__multipart, delimiter));
    multipart->parts_max = parts_max;
    multipart->delimiter_len = 4 + boundary.len;
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary.at, boundary.len);
    expect_delimiter(multipart, 2);
    return 0;
}

int pf__multipart_run(struct pf__multipart *multipart, const char *data, size_t len,
                      size_t *used, struct pf__text *piece)
{
    int event = PF__MULTIPART_MORE;
    if (multipart->state == FAILED)
        return multipart->failure;
    if (multipart->state == DONE) {
        *used = len;
        return PF__MULTIPART_DONE;
    }
    while (event == PF__MULTIPART_MORE && *used < len) {
        if (multipart->state == DATA)
            event = run_data(multipart, (struct pf__text){data + *used, len - *used}, used,
                             piece);
        else
            event = take_byte(multipart, data[(*used)++]);
    }
    if (event < 0) {
        multipart->state = FAILED;
        multipart->failure = event;
    }
    return event;
}
