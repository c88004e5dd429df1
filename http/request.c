/*
 * request.c - a request as its handler sees it.
 */
#include "http/internal.h"

#include "http/cookie.h"
#include "http/uri.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const char *give(struct pf__text text, size_t *len)
{
    *len = text.len;
    return text.at;
}

static struct pf__text text_of(const pf_http_request *request, struct pf_http_span span)
{
    return (struct pf__text){request->head + span.at, span.len};
}

/* ---- the head -------------------------------------------------------------------- */

/* As sent, between the start of its line and the target. None of a request whose start line
 * has not come, or was no good: an observer sees those, too. */
const char *pf_http_get_method(pf_http_request *request, size_t *len)
{
    struct pf_http_span target = request->parser.target;
    if (target.len == 0)
        return give(pf__text_of(""), len);
    const char *end = request->head + target.at - 1, *at = end;
    while (at > request->head && at[-1] != '\n')
        at--;
    return give((struct pf__text){at, (size_t)(end - at)}, len);
}

const char *pf_http_get_path(pf_http_request *request, size_t *len)
{
    if (request->parser.path.len > 0)
        return give(text_of(request, request->parser.path), len);
    return give(pf__text_of("/"), len);
}

const char *pf_http_get_query(pf_http_request *request, size_t *len)
{
    return give(text_of(request, request->parser.query), len);
}

const char *pf_http_get_host(pf_http_request *request, size_t *len)
{
    return give(pf__http_host(request), len);
}

const char *pf_http_get_field(pf_http_request *request, const char *name, size_t *len)
{
    return pf__http_parser_field(&request->parser, request->head, name, len);
}

bool pf_http_get_field_at(pf_http_request *request, size_t n, const char **name,
                          size_t *name_len, const char **value, size_t *value_len)
{
    if (n >= request->parser.field_count)
        return false;
    *name = give(text_of(request, request->parser.fields[n].name), name_len);
    *value = give(text_of(request, request->parser.fields[n].value), value_len);
    return true;
}

unsigned pf_http_get_minor(pf_http_request *request)
{
    return request->parser.minor;
}

/* ---- decoded --------------------------------------------------------------------- */

int pf_http_get_capture(pf_http_request *request, const char *name, char *text, size_t size)
{
    const struct pf__captures *captures = &request->captures;
    for (size_t i = 0; i < captures->count; i++)
        if (captures->at[i].at && pf__http_capture_is(request->path, i, name))
            return pf__uri_decode(captures->at[i], PF__URI_PATH, text, size);
    return -ENOENT;
}

/* The n-th pair of that name. */
static int find_pair(struct pf__text pairs, const char *name, size_t n, char *text,
                     size_t size)
{
    for (; n > 0; n--)
        if (pf__form_find(&pairs, name, text, 0) == -ENOENT)
            return -ENOENT;
    return pf__form_find(&pairs, name, text, size);
}

int pf_http_get_argument_at(pf_http_request *request, const char *name, size_t n,
                            char *text, size_t size)
{
    return find_pair(text_of(request, request->parser.query), name, n, text, size);
}

int pf_http_get_argument(pf_http_request *request, const char *name, char *text,
                         size_t size)
{
    return pf_http_get_argument_at(request, name, 0, text, size);
}

/* With parameters or without: "application/x-www-form-urlencoded; charset=utf-8". */
static bool is_form(pf_http_request *request)
{
    size_t len;
    const char *type = pf_http_get_field(request, "Content-Type", &len);
    if (!type)
        return false;
    struct pf__text text = {type, len};
    text.len = pf__text_find(text, ';');
    return pf__text_is_word(pf__text_trim(text), "application/x-www-form-urlencoded");
}

int pf_http_get_form_at(pf_http_request *request, const char *name, size_t n, char *text,
                        size_t size)
{
    if (!is_form(request) || !request->body)
        return -ENOENT;
    struct pf__text body = {request->body, (size_t)request->body_len};
    return find_pair(body, name, n, text, size);
}

int pf_http_get_form(pf_http_request *request, const char *name, char *text, size_t size)
{
    return pf_http_get_form_at(request, name, 0, text, size);
}

int pf_http_get_cookie(pf_http_request *request, const char *name, char *text, size_t size)
{
    struct pf__text lines[PF_HTTP_FIELDS_MAX], value;
    size_t count = 0;
    for (uint32_t i = 0; i < request->parser.field_count; i++) {
        const struct pf_http_field *field = &request->parser.fields[i];
        if (pf__text_is_word(text_of(request, field->name), "Cookie"))
            lines[count++] = text_of(request, field->value);
    }
    if (!pf__cookie_find((struct pf__texts){lines, count}, name, &value))
        return -ENOENT;
    if (value.len >= size)
        return -ENOBUFS;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    return (int)value.len;
}

const void *pf_http_get_body(pf_http_request *request, size_t *len)
{
    *len = request->body ? (size_t)request->body_len : 0;
    return request->body;
}

/* ---- who asks -------------------------------------------------------------------- */

struct pf_address pf__http_client_address(const struct pf__http_client *client)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(client->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(client->port)};
    struct pf_address address = {.len = sizeof(sa_family_t)};
    address.storage.ss_family = AF_UNIX;
    if (client->family == AF_INET) {
        memcpy(&in.sin_addr, client->address, sizeof in.sin_addr);
        memcpy(&address.storage, &in, address.len = sizeof in);
    } else if (client->family == AF_INET6) {
        memcpy(&in6.sin6_addr, client->address, sizeof in6.sin6_addr);
        memcpy(&address.storage, &in6, address.len = sizeof in6);
    }
    return address;
}

static struct pf__text field_of(pf_http_request *request, const char *name)
{
    size_t len = 0;
    const char *value = pf_http_get_field(request, name, &len);
    return (struct pf__text){value, value ? len : 0};
}

/* What the peer says of whom it speaks for, if it is trusted. */
static void ask_peer(pf_http_request *request, struct pf__client *out)
{
    const struct pf_http_server_options *options = &request->server->options;
    struct pf__text lines[PF_HTTP_FIELDS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < request->parser.field_count; i++) {
        const struct pf_http_field *field = &request->parser.fields[i];
        if (pf__text_is_word(text_of(request, field->name), "X-Forwarded-For"))
            lines[count++] = text_of(request, field->value);
    }
    struct pf__forwarded forwarded = {.x_forwarded_for = {lines, count},
                                      .x_real_ip = field_of(request, "X-Real-Ip"),
                                      .x_scheme = field_of(request, "X-Scheme"),
                                      .x_forwarded_proto =
                                          field_of(request, "X-Forwarded-Proto")};
    struct pf_address peer = out->address;
    pf__forwarded_client(options->trusted, &peer, false, &forwarded, out);
}

/* Only when somebody asks: it costs a little. */
void pf__http_note_remote(pf_http_request *request)
{
    if (request->remote[0] || !request->conn)
        return;
    const struct pf_http_server_options *options = &request->server->options;
    struct pf__client client = {pf__http_client_address(request->client), false};
    if (options->xheaders && options->trusted && request->head_done)
        ask_peer(request, &client);
    char text[PF_ADDRESS_TEXT_MAX] = "unix";
    if (!pf_address_is_unix(&client.address))
        pf__client_format(&client.address, text);
    size_t len = strnlen(text, sizeof request->remote - 1);
    memcpy(request->remote, text, len);
    request->remote[len] = '\0';
    request->remote_port = (uint16_t)pf_address_port(&client.address);
    request->scheme = client.https ? "https" : "http";
}

const char *pf_http_get_remote_address(pf_http_request *request)
{
    pf__http_note_remote(request);
    return request->remote[0] ? request->remote : "unknown";
}

unsigned pf_http_get_remote_port(pf_http_request *request)
{
    pf__http_note_remote(request);
    return request->remote_port;
}

const char *pf_http_get_scheme(pf_http_request *request)
{
    pf__http_note_remote(request);
    return request->scheme ? request->scheme : "http";
}

/* ---- the rest -------------------------------------------------------------------- */

void *pf__http_request_observer(const pf_http_request *request)
{
    return request->server->options.observer_arg;
}

const struct pf_http_route *pf__http_request_route(const pf_http_request *request)
{
    return request->route;
}

bool pf__http_request_has_head(const pf_http_request *request)
{
    return request->head_done;
}

void *pf_http_get_arg(pf_http_request *request)
{
    return request->route ? request->route->arg : NULL;
}

pf_loop *pf_http_get_loop(pf_http_request *request)
{
    return request->server->loop;
}

unsigned pf_http_get_number(pf_http_request *request)
{
    return request->number;
}

void pf_http_set_data(pf_http_request *request, void *data)
{
    request->data = data;
}

void *pf_http_get_data(pf_http_request *request)
{
    return request->data;
}

/* ---- a cookie for the client ------------------------------------------------------ */

int pf_http_set_cookie(pf_http_request *request, const struct pf_http_cookie *cookie)
{
    char text[PF__COOKIE_MAX + 1];
    if (!cookie)
        return -EINVAL;
    struct pf__cookie written = {.name = cookie->name,
                                 .value = cookie->value,
                                 .path = cookie->path,
                                 .domain = cookie->domain,
                                 .max_age_s = cookie->max_age_s,
                                 .secure = cookie->secure,
                                 .http_only = cookie->http_only,
                                 .same_site = (enum pf__same_site)cookie->same_site};
    int len = pf__cookie_write(&written, text, sizeof text);
    return len < 0 ? len : pf_http_add_field(request, "Set-Cookie", text);
}
