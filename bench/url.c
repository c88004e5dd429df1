/* url.c - see url.h. */
#include "bench/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PORT ":80"
#define PORT_MAX     65535

static int refuse(char *why, size_t why_len, const char *what)
{
    snprintf(why, why_len, "%s", what);
    return -EINVAL;
}

/* What follows the scheme, or NULL if it is another one. */
static const char *behind(const char *text, const char *scheme)
{
    size_t len = strlen(scheme);
    return strncasecmp(text, scheme, len) == 0 ? text + len : NULL;
}

/* A request line and a header are made of it: no blanks, no controls, nothing beyond ASCII.
 */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '!' || text[i] > '~')
            return false;
    return true;
}

/* The name of a file may hold anything that does not spoil a line of output. */
static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

/* The port is what follows the last colon, but one inside of brackets is the literal's. */
static const char *find_port(const char *authority, size_t len)
{
    const char *bracket = memrchr(authority, ']', len);
    size_t before = bracket ? (size_t)(bracket - authority) : 0;
    const char *colon = memrchr(authority + before, ':', len - before);
    return colon ? colon + 1 : NULL;
}

/* RFC 3986 section 3.2.3: a colon with nothing behind it is the scheme's own port. */
static bool ends_in_colon(const char *authority, size_t len)
{
    return len > 0 && authority[len - 1] == ':';
}

static bool is_port(const char *text, size_t len)
{
    unsigned port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text[i] - '0');
        if (port > PORT_MAX)
            return false;
    }
    return port > 0;
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* The host and its port: "HOST", "HOST:PORT", "[IPv6]:PORT". */
static const char *fault_of_authority(const char *text, size_t len, bool needs_port)
{
    const char *port = find_port(text, len);
    size_t host_len = port ? (size_t)(port - text) - 1 : len;
    if (host_len == 0)
        return "has no host; write //HOST:PORT";
    if (memchr(text, '@', len))
        return "has a user name; give it with -H 'Authorization: ...'";
    if (!is_plain(text, len))
        return "has a host with blanks or bytes beyond ASCII; write its ASCII form";
    if (len > URL_AUTHORITY_MAX - sizeof DEFAULT_PORT)
        return "has too long a host; a name has at most 253 bytes";
    if (*text == '[' && text[host_len - 1] != ']')
        return "has a bracket left open; an IPv6 address is [::1]:8080";
    if (*text != '[' && memchr(text, ':', host_len))
        return "put an IPv6 address in brackets, such as [::1]:8080";
    /* To pf_address_parse() these mean something else than a host. */
    if (is_word(text, host_len, "*"))
        return "has no host to connect to; write its name or address";
    if (is_word(text, host_len, "unix") || is_word(text, host_len, "udp"))
        return "has a host that reads like a scheme; write its address";
    if (!port && needs_port)
        return "has no port; write tcp://HOST:PORT";
    if (port && !is_port(port, len - host_len - 1))
        return "has no valid port; it must be 1 to 65535";
    return NULL;
}

static const char *fault_of_path(const char *text, size_t len)
{
    if (!is_plain(text, len))
        return "percent-encode blanks and bytes beyond ASCII";
    if (len > URL_PATH_MAX - 2)
        return "has too long a path; use less than 8000 bytes";
    return NULL;
}

static void set_authority(struct url *out, const char *text, size_t len)
{
    snprintf(out->authority, sizeof out->authority, "%.*s", (int)len, text);
    snprintf(out->address, sizeof out->address, "%.*s%s", (int)len, text,
             find_port(text, len) ? "" : DEFAULT_PORT);
}

static void set_path(struct url *out, const char *text, size_t len)
{
    snprintf(out->path, sizeof out->path, "%s%.*s", len && *text == '/' ? "" : "/",
             (int)len, text);
}

static int parse_http(const char *text, struct url *out, char *why, size_t why_len)
{
    size_t len = strcspn(text, "/?#");
    const char *path = text + len;
    size_t path_len = strcspn(path, "#");
    if (ends_in_colon(text, len))
        len--;
    const char *fault = fault_of_authority(text, len, false);
    if (!fault)
        fault = fault_of_path(path, path_len);
    if (fault)
        return refuse(why, why_len, fault);
    out->protocol = PLAN_HTTP;
    set_authority(out, text, len);
    set_path(out, path, path_len);
    return 0;
}

static int parse_tcp(const char *text, struct url *out, char *why, size_t why_len)
{
    size_t len = strcspn(text, "/?#");
    const char *fault =
        fault_of_authority(text, ends_in_colon(text, len) ? len - 1 : len, true);
    if (!fault && text[len] && strcmp(text + len, "/") != 0)
        fault = "has a path, of which raw bytes know nothing; write tcp://HOST:PORT";
    if (fault)
        return refuse(why, why_len, fault);
    out->protocol = PLAN_ECHO;
    set_authority(out, text, len);
    out->path[0] = 0;
    return 0;
}

static const char *fault_of_socket(const char *name, size_t len)
{
    if ((*name != '/' && *name != '@') || strncmp(name, "//", 2) == 0)
        return "must name a socket: http+unix:/PATH:/URI, tcp+unix:/PATH, or @NAME for "
               "/PATH";
    if (len < 2)
        return "has no socket's name; write unix:/PATH or unix:@NAME";
    if (!is_printable(name, len))
        return "has a socket's name with control characters";
    if (len > URL_AUTHORITY_MAX - sizeof "unix:")
        return "has too long a socket's name; use at most 103 bytes";
    return NULL;
}

static void set_socket(struct url *out, const char *name, size_t len)
{
    snprintf(out->authority, sizeof out->authority, "localhost");
    snprintf(out->address, sizeof out->address, "unix:%.*s", (int)len, name);
}

static int parse_http_unix(const char *text, struct url *out, char *why, size_t why_len)
{
    const char *end = strstr(text, ":/");
    size_t len = end ? (size_t)(end - text) : strlen(text);
    const char *path = end ? end + 1 : text + len;
    size_t path_len = strcspn(path, "#");
    const char *fault = fault_of_socket(text, len);
    if (!fault)
        fault = fault_of_path(path, path_len);
    if (fault)
        return refuse(why, why_len, fault);
    out->protocol = PLAN_HTTP;
    set_socket(out, text, len);
    set_path(out, path, path_len);
    return 0;
}

static int parse_tcp_unix(const char *text, struct url *out, char *why, size_t why_len)
{
    const char *fault = fault_of_socket(text, strlen(text));
    if (!fault && strstr(text, ":/"))
        fault = "has a path behind the socket's, of which raw bytes know nothing";
    if (fault)
        return refuse(why, why_len, fault);
    out->protocol = PLAN_ECHO;
    set_socket(out, text, strlen(text));
    out->path[0] = 0;
    return 0;
}

int url_parse(const char *text, struct url *out, char *why, size_t why_len)
{
    typedef int parse_fn(const char *, struct url *, char *, size_t);
    static const struct {
        const char *scheme;
        parse_fn *parse; /* NULL: refused */
        const char *fault;
    } schemes[] = {
        {"http://", parse_http, NULL},
        {"http+unix:", parse_http_unix, NULL},
        {"tcp://", parse_tcp, NULL},
        {"tcp+unix:", parse_tcp_unix, NULL},
        {"https://", NULL, "TLS is not supported; use http://"},
        {"https+unix:", NULL, "TLS is not supported; use http+unix:"},
        {"ws://", NULL, "WebSocket is not supported; use http://, or tcp:// for an echo"},
        {"wss://", NULL, "WebSocket and TLS are not supported; use http://"},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        const char *rest = behind(text, schemes[i].scheme);
        if (rest && schemes[i].parse)
            return schemes[i].parse(rest, out, why, why_len);
        if (rest)
            return refuse(why, why_len, schemes[i].fault);
    }
    if (*text == '\0')
        return refuse(why, why_len, "an empty URL; write http://HOST:PORT/");
    /* What most who leave it out mean. */
    if (!strstr(text, "//") && is_plain(text, strlen(text)) && strlen(text) < why_len / 2)
        snprintf(
            why, why_len,
            "must begin with http://, http+unix:, tcp:// or tcp+unix:; write http://%s",
            text);
    else
        snprintf(why, why_len, "must begin with http://, http+unix:, tcp:// or tcp+unix:");
    return -EINVAL;
}
