#include "bench/json_writer.h"

#include "bench/utf8.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* The largest integer that a double holds, and all below it. */
#define EXACT_MOST (UINT64_C(1) << 53)

/* Digits that tell any two doubles apart, and room for one. */
#define REAL_DIGITS 17
#define REAL_MAX    32

void json_put_quote(FILE *to, const char *text)
{
    fputc('"', to);
    for (uint32_t c; (c = utf8_next(&text)) != 0;) {
        /* '<' is escaped so that a document may stand in a page's <script>. */
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", (int)c);
        else if (c == '<' || utf8_is_control(c)) /* all of them are below U+10000 */
            fprintf(to, "\\u%04x", (unsigned)c);
        else
            utf8_put(c, to);
    }
    fputc('"', to);
}

/* What stands before a value: a comma, a new line, its key. */
static void begin_value(struct json_writer *json, const char *key)
{
    bool flat = json->flat && json->depth >= json->flat;
    if (json->some)
        fputs(flat ? ", " : ",", json->to);
    if (json->depth && !flat)
        fprintf(json->to, "\n%*s", (int)json->depth, "");
    if (key) {
        json_put_quote(json->to, key);
        fputs(": ", json->to);
    }
    json->some = true;
}

void json_open(struct json_writer *json, const char *key, char bracket)
{
    begin_value(json, key);
    fputc(bracket, json->to);
    if (json->depth < JSON_DEPTH_MAX)
        json->closing[json->depth] = bracket == '{' ? '}' : ']';
    json->depth++;
    json->some = false;
}

void json_open_flat(struct json_writer *json, const char *key, char bracket)
{
    json_open(json, key, bracket);
    if (json->flat == 0)
        json->flat = json->depth;
}

void json_close(struct json_writer *json)
{
    json->depth--;
    if (json->flat > json->depth)
        json->flat = 0;
    else if (json->some && json->flat == 0)
        fprintf(json->to, "\n%*s", (int)json->depth, "");
    fputc(json->closing[json->depth], json->to);
    json->some = true;
}

void json_put_int(struct json_writer *json, const char *key, int64_t number)
{
    begin_value(json, key);
    fprintf(json->to, "%" PRId64, number);
}

void json_put_wide(struct json_writer *json, const char *key, uint64_t number)
{
    begin_value(json, key);
    fprintf(json->to, number <= EXACT_MOST ? "%" PRIu64 : "\"%" PRIu64 "\"", number);
}

void json_put_real(struct json_writer *json, const char *key, double number)
{
    char text[REAL_MAX];
    if (!isfinite(number)) {
        json_put_null(json, key);
        return;
    }
    for (int digits = 15; digits <= REAL_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number == 0 ? 0 : number); /* not -0 */
        if (strtod(text, NULL) == number)
            break;
    }
    begin_value(json, key);
    fputs(text, json->to);
}

void json_put_text(struct json_writer *json, const char *key, const char *text)
{
    if (!text) {
        json_put_null(json, key);
        return;
    }
    begin_value(json, key);
    json_put_quote(json->to, text);
}

void json_put_bool(struct json_writer *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->to);
}

void json_put_null(struct json_writer *json, const char *key)
{
    begin_value(json, key);
    fputs("null", json->to);
}
