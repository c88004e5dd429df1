/* corpus.c - see corpus.h. */
#include "tests/lib/corpus.h"

#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

unsigned pf_test_corpus(const char *directory,
                        int (*target)(const uint8_t *data, size_t size))
{
    DIR *dir = opendir(directory);
    assert_non_null(dir); /* tests run from the root of the tree */
    unsigned replayed = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        static uint8_t input[256 * 1024];
        char path[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        ssize_t len = read(fd, input, sizeof input);
        assert_true(len >= 0);
        close(fd);
        assert_int_equal(target(input, (size_t)len), 0);
        replayed++;
    }
    closedir(dir);
    return replayed;
}
