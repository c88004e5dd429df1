/*
 * clear.h - zeros, for what is cleared with each request.
 *
 * It is a memset(3) whose length the compiler does not know. With one that it knows, of
 * some hundred bytes, gcc makes a `rep stos`, which takes several times as long to begin as
 * the C library's takes for all of it.
 */
#ifndef PREFORK_HTTP_CLEAR_H
#define PREFORK_HTTP_CLEAR_H

#include <stddef.h>

void pf__clear(void *at, size_t len);

#endif
