#include "bench/document_read.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int document_refuse(const struct document_reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reader->why, reader->why_len, format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- single values ------------------------------------------------------------------- */

bool document_wide(const json_t *value, uint64_t *out)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    if (!json_is_string(value))
        return false;
    const char *text = json_string_value(value);
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

bool document_signed(const json_t *value, int64_t *out)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < -RESULT_MOST || number > RESULT_MOST)
        return false;
    *out = number;
    return true;
}

bool document_int(const json_t *value, int64_t *out)
{
    if (json_is_null(value)) {
        *out = RESULT_UNKNOWN;
        return true;
    }
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           document_signed(value, out);
}

bool document_real(const json_t *value, double *out)
{
    if (!json_is_null(value) && !json_is_number(value))
        return false;
    *out = json_is_null(value) ? NAN : json_number_value(value);
    return true;
}

int document_word(const json_t *value, const char *const *words)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

int document_text(const json_t *value, char **out)
{
    char *copy = json_is_null(value) ? NULL : strdup(json_string_value(value));
    if (!copy && !json_is_null(value))
        return -ENOMEM;
    free(*out);
    *out = copy;
    return 0;
}

static int read_field(const struct document_reader *reader, const json_t *value,
                      const char *place, const struct document_field *field, void *at)
{
    const char *right = NULL; /* what would be */
    switch (field->type) {
    case DOCUMENT_INT:
        right = document_int(value, at) ? NULL : "a whole number from 0 to 2^60, or null";
        break;
    case DOCUMENT_SIGNED:
        right = document_signed(value, at) ? NULL : "a whole number";
        break;
    case DOCUMENT_COUNT:
        if (!document_int(value, at) || json_is_null(value))
            right = "a whole number from 0 to 2^60";
        break;
    case DOCUMENT_WIDE:
        right = document_wide(value, at) ? NULL : "a whole number of 64 bits";
        break;
    case DOCUMENT_REAL:
        right = document_real(value, at) ? NULL : "a number, or null";
        break;
    case DOCUMENT_BOOL:
        right = json_is_boolean(value) ? NULL : "true or false";
        *(bool *)at = json_is_true(value);
        break;
    case DOCUMENT_TEXT:
        if (json_is_null(value) || json_is_string(value))
            return document_text(value, at);
        right = "a string, or null";
        break;
    case DOCUMENT_CHARS:
        if (json_is_string(value) && json_string_length(value) < field->size)
            memcpy(at, json_string_value(value), json_string_length(value) + 1);
        else
            right = "a string, and no longer than ours";
        break;
    }
    return right ? document_refuse(reader, "%s.%s must be %s", place, field->key, right)
                 : 0;
}

int document_read(const struct document_reader *reader, const json_t *object,
                  const char *place, const struct document_field *table, void *base)
{
    if (!json_is_object(object))
        return document_refuse(reader, "%s must be an object", place);
    for (; table->key; table++) {
        const json_t *value = json_object_get(object, table->key);
        int err =
            value ? read_field(reader, value, place, table, (char *)base + table->at) : 0;
        if (err)
            return err;
    }
    return 0;
}

/* ---- arrays -------------------------------------------------------------------------- */

int document_array(const struct document_reader *reader, const json_t *object,
                   const char *key, size_t most, const json_t **array, size_t *count)
{
    *array = json_object_get(object, key);
    *count = 0;
    if (!*array || json_is_null(*array))
        return 0;
    if (!json_is_array(*array))
        return document_refuse(reader, "%s must be an array", key);
    *count = json_array_size(*array);
    if (*count > most)
        return document_refuse(reader, "%s has more than %zu entries", key, most);
    return 0;
}

static int read_entries(const struct document_reader *reader, const json_t *array,
                        size_t count, const struct document_array *form, void *entries)
{
    char place[64];
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(array, i);
        void *at = (char *)entries + i * form->size;
        snprintf(place, sizeof place, "%s[%zu]", form->key, i);
        int err = document_read(reader, entry, place, form->table, at);
        if (!err && form->more)
            err = form->more(reader, entry, place, at);
        if (err)
            return err;
    }
    return 0;
}

int document_read_array(const struct document_reader *reader, const json_t *object,
                        const struct document_array *form, void **entries, size_t *count)
{
    const json_t *array;
    int err = document_array(reader, object, form->key, form->most, &array, count);
    if (err || *count == 0)
        return err;
    *entries = calloc(*count, form->size);
    if (!*entries) {
        *count = 0;
        return -ENOMEM;
    }
    return read_entries(reader, array, *count, form, *entries);
}

int document_read_array_into(const struct document_reader *reader, const json_t *object,
                             const struct document_array *form, void *entries,
                             size_t *count)
{
    const json_t *array;
    int err = document_array(reader, object, form->key, form->most, &array, count);
    return err ? err : read_entries(reader, array, *count, form, entries);
}

int document_read_reals(const struct document_reader *reader, const json_t *object,
                        const char *key, double **out, unsigned *count)
{
    const json_t *array;
    size_t n;
    int err = document_array(reader, object, key, DOCUMENT_LOOPS_MAX, &array, &n);
    if (err || n == 0)
        return err;
    *out = calloc(n, sizeof **out);
    if (!*out)
        return -ENOMEM;
    *count = (unsigned)n;
    for (size_t i = 0; i < n; i++)
        if (!document_real(json_array_get(array, i), &(*out)[i]))
            return document_refuse(reader, "%s[%zu] must be a number", key, i);
    return 0;
}
