/*
 * utf8.h - text that came from outside, a character at a time: a sample of a server's
 * answer, a URL, a string of somebody's document. What is no UTF-8 reads as U+FFFD, so that
 * whatever is written of it is well-formed.
 */
#ifndef PREFORK_BENCH_UTF8_H
#define PREFORK_BENCH_UTF8_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define UTF8_REPLACEMENT 0xFFFDu

/* The character at *text, which moves behind it; 0 at the end, where it stays. */
uint32_t utf8_next(const char **text);

/* Does it control a terminal rather than stand for something? */
bool utf8_is_control(uint32_t character);

/* Write a character; write a text for a terminal, in which controls become '?', and, unless
 * the terminal knows UTF-8, so does all that is not ASCII. Returns its columns. */
void utf8_put(uint32_t character, FILE *to);
int utf8_print(const char *text, bool ascii, FILE *to);

#endif
