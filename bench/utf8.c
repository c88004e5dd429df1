#include "bench/utf8.h"

/* Bits that the first byte of a character of `more` further ones carries. */
static const struct {
    unsigned char mask, lead;
    unsigned char more;
    uint32_t least; /* smaller ones have a shorter form: refused (RFC 3629 section 3) */
} forms[] = {{0xE0, 0xC0, 1, 0x80}, {0xF0, 0xE0, 2, 0x800}, {0xF8, 0xF0, 3, 0x10000}};

uint32_t utf8_next(const char **text)
{
    unsigned char first = (unsigned char)**text;
    if (first == 0)
        return 0;
    ++*text;
    if (first < 0x80)
        return first;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if ((first & forms[i].mask) != forms[i].lead)
            continue;
        uint32_t character = first & (unsigned char)~forms[i].mask;
        for (unsigned n = 0; n < forms[i].more; n++) {
            unsigned char next = (unsigned char)(*text)[n];
            if ((next & 0xC0) != 0x80)
                return UTF8_REPLACEMENT;
            character = character << 6 | (next & 0x3F);
        }
        if (character < forms[i].least || character > 0x10FFFF ||
            (character >= 0xD800 && character < 0xE000))
            return UTF8_REPLACEMENT;
        *text += forms[i].more;
        return character;
    }
    return UTF8_REPLACEMENT;
}

bool utf8_is_control(uint32_t character)
{
    /* C0, DEL, C1; the marks that turn the direction of writing, and separators of lines.
     */
    return character < 0x20 || (character >= 0x7F && character < 0xA0) ||
           (character >= 0x200E && character <= 0x200F) ||
           (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

void utf8_put(uint32_t character, FILE *to)
{
    if (character < 0x80) {
        fputc((int)character, to);
        return;
    }
    if (character < 0x800) {
        fputc((int)(0xC0 | character >> 6), to);
    } else if (character < 0x10000) {
        fputc((int)(0xE0 | character >> 12), to);
        fputc((int)(0x80 | (character >> 6 & 0x3F)), to);
    } else {
        fputc((int)(0xF0 | character >> 18), to);
        fputc((int)(0x80 | (character >> 12 & 0x3F)), to);
        fputc((int)(0x80 | (character >> 6 & 0x3F)), to);
    }
    fputc((int)(0x80 | (character & 0x3F)), to);
}

int utf8_print(const char *text, bool ascii, FILE *to)
{
    int columns = 0;
    for (uint32_t c; (c = utf8_next(&text)) != 0; columns++)
        utf8_put(utf8_is_control(c) || (ascii && c >= 0x80) ? '?' : c, to);
    return columns;
}
