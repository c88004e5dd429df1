/*
 * json_writer.h - JSON to a stream, a value at a time: brackets, commas and the layout are
 * kept account of here.
 *
 *     struct json_writer json = {.to = stdout};
 *     json_open(&json, NULL, '{');
 *     json_put_text(&json, "name", "x");
 *     json_open_flat(&json, "pair", '[');      stays on one line
 *     json_put_int(&json, NULL, 1);                in an array: without a key
 *     json_close(&json);
 *     json_close(&json);
 *
 * Numbers survive: integers are written whole, others with as many digits as read back to
 * the same. What JSON has no number for (NAN, infinity) is null. A text that is no UTF-8 is
 * mended with U+FFFD, so that what is written is well-formed always.
 */
#ifndef PREFORK_BENCH_JSON_WRITER_H
#define PREFORK_BENCH_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json_writer {
    FILE *to;
    unsigned depth;
    unsigned flat; /* the depth from which all stands on one line; 0: none */
    bool some;     /* the container has a value already */
    char closing[JSON_DEPTH_MAX];
};

/* Begin an object '{' or an array '['. The outermost, and what is in an array, have no key:
 * NULL. */
void json_open(struct json_writer *json, const char *key, char bracket);
void json_open_flat(struct json_writer *json, const char *key, char bracket);
void json_close(struct json_writer *json);

void json_put_int(struct json_writer *json, const char *key, int64_t number);
/* Above what every reader holds exactly (2^53) it is a string of digits. */
void json_put_wide(struct json_writer *json, const char *key, uint64_t number);
void json_put_real(struct json_writer *json, const char *key, double number);
void json_put_text(struct json_writer *json, const char *key,
                   const char *text); /* NULL: null */
void json_put_bool(struct json_writer *json, const char *key, bool value);
void json_put_null(struct json_writer *json, const char *key);

/* Only the string, in its quotes; fit for a page's <script> too: '<' is escaped. */
void json_put_quote(FILE *to, const char *text);

#endif
