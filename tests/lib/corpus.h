/*
 * corpus.h - what fuzzing found stays fixed: the inputs in the tree are tried again.
 */
#ifndef PREFORK_TESTS_LIB_CORPUS_H
#define PREFORK_TESTS_LIB_CORPUS_H

#include <stddef.h>
#include <stdint.h>

/* Give target() each file of the directory, named from the root of the tree; fails the test
 * if one cannot be read. Returns how many there were. */
unsigned pf_test_corpus(const char *directory,
                        int (*target)(const uint8_t *data, size_t size));

#endif
