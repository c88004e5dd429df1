/* test_scoreboard.c - counters that other processes read while they change. */
#include "tests/lib/test.h"

#include "ipc/catalogue.h"
#include <prefork/ipc.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct pf_column columns[] = {
    {"requests", PF_COLUMN_COUNTER, PF_COLUMN_LANE},
    {"open", PF_COLUMN_GAUGE, PF_COLUMN_LANE},
    {"pid", PF_COLUMN_ID, PF_COLUMN_MASTER},
};

static pf_scoreboard *make(unsigned rows)
{
    pf_scoreboard *board = NULL;
    assert_int_equal(pf_scoreboard_new(columns, 3, rows, &board), 0);
    return board;
}

static void cells_start_at_zero_and_hold_what_is_written(void **state)
{
    (void)state;
    pf_scoreboard *board = make(4);
    assert_int_equal(pf_scoreboard_rows(board), 4);
    assert_int_equal(pf_scoreboard_columns(board), 3);
    int requests = pf_scoreboard_find(board, "requests");
    assert_int_equal(requests, 0);
    assert_int_equal(pf_scoreboard_find(board, "nonsense"), -ENOENT);
    for (unsigned row = 0; row < 4; row++) {
        uint64_t *cell = pf_scoreboard_cell(board, row, (unsigned)requests);
        assert_int_equal(*cell, 0);
        pf_count(cell, row + 1);
        pf_count(cell, 10);
    }
    assert_int_equal(pf_scoreboard_get(board, 3, 0), 14);
    assert_int_equal(pf_scoreboard_total(board, 0), 11 + 12 + 13 + 14);
    assert_null(pf_scoreboard_cell(board, 4, 0));
    assert_null(pf_scoreboard_cell(board, 0, 3));
    assert_int_equal(pf_scoreboard_get(board, 4, 0), 0);
    pf_scoreboard_free(board);
}

static void writers_share_no_cache_line_pair(void **state)
{
    (void)state;
    pf_scoreboard *board = make(2);
    uintptr_t lane = (uintptr_t)pf_scoreboard_cell(board, 0, 1);
    uintptr_t master = (uintptr_t)pf_scoreboard_cell(board, 0, 2);
    uintptr_t next_lane = (uintptr_t)pf_scoreboard_cell(board, 1, 0);
    assert_true(lane / 128 != master / 128);
    assert_true(master / 128 != next_lane / 128);
    assert_true(lane / 128 != next_lane / 128);
    pf_scoreboard_free(board);
}

static void another_process_reads_the_columns_and_the_cells_by_name(void **state)
{
    (void)state;
    pf_scoreboard *board = make(2), *reader;
    pf_score(pf_scoreboard_cell(board, 1, 2), 4711);
    assert_int_equal(pf_scoreboard_open(pf_scoreboard_fd(board), &reader), 0);
    struct pf_column column;
    assert_true(pf_scoreboard_describe(reader, 1, &column));
    assert_string_equal(column.name, "open");
    assert_int_equal(column.kind, PF_COLUMN_GAUGE);
    assert_int_equal(column.writer, PF_COLUMN_LANE);
    assert_false(pf_scoreboard_describe(reader, 3, &column));
    int pid = pf_scoreboard_find(reader, "pid");
    assert_int_equal(pf_scoreboard_get(reader, 1, (unsigned)pid), 4711);
    pf_score(pf_scoreboard_cell(board, 1, 2), 4712); /* while it is read */
    assert_int_equal(pf_scoreboard_get(reader, 1, (unsigned)pid), 4712);
    pf_scoreboard_free(reader);
    pf_scoreboard_free(board);
}

static void a_dead_worker_leaves_its_counters_and_not_its_gauges(void **state)
{
    (void)state;
    pf_scoreboard *board = make(1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pf_count(pf_scoreboard_cell(board, 0, 0), 5);
        pf_score(pf_scoreboard_cell(board, 0, 1), 3);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(pf_scoreboard_get(board, 0, 1), 3);
    pf_scoreboard_clear_gauges(board, 0);
    assert_int_equal(pf_scoreboard_get(board, 0, 1), 0);
    assert_int_equal(pf_scoreboard_total(board, 0), 5);
    pf_scoreboard_free(board);
}

/* A place has several rows: those of who leaves, and those of who comes. */
static void a_sum_is_over_the_rows_that_are_asked_for(void **state)
{
    (void)state;
    pf_scoreboard *board = make(8);
    for (unsigned row = 0; row < 8; row++)
        pf_count(pf_scoreboard_cell(board, row, 0), 1u << row);
    assert_int_equal(pf_scoreboard_sum(board, 0, 0, 4), 0x0f);
    assert_int_equal(pf_scoreboard_sum(board, 0, 4, 4), 0xf0);
    assert_int_equal(pf_scoreboard_sum(board, 0, 3, 1), 0x08);
    assert_int_equal(pf_scoreboard_sum(board, 0, 3, 0), 0);
    assert_int_equal(pf_scoreboard_sum(board, 0, 6, 4), 0xc0); /* beyond: nothing */
    assert_int_equal(pf_scoreboard_sum(board, 0, 8, 1), 0);
    assert_int_equal(pf_scoreboard_sum(board, 0, 1, UINT_MAX), 0xfe);
    assert_int_equal(pf_scoreboard_sum(board, 3, 0, 8), 0); /* no such column */
    assert_int_equal(pf_scoreboard_total(board, 0), 0xff);
    pf_scoreboard_free(board);
}

enum {
    COUNTED = 200000
};

static void *count_on(void *cell)
{
    for (int i = 0; i < COUNTED; i++)
        pf_count(cell, 1);
    return NULL;
}

static void a_reader_never_sees_a_total_go_back(void **state)
{
    (void)state;
    pf_scoreboard *board = make(4), *reader;
    assert_int_equal(pf_scoreboard_open(pf_scoreboard_fd(board), &reader), 0);
    pthread_t writers[4];
    for (unsigned row = 0; row < 4; row++)
        assert_int_equal(pthread_create(&writers[row], NULL, count_on,
                                        pf_scoreboard_cell(board, row, 0)),
                         0);
    uint64_t last = 0;
    while (last < 4 * COUNTED) {
        uint64_t total = pf_scoreboard_total(reader, 0);
        assert_true(total >= last);
        assert_true(pf_scoreboard_sum(reader, 0, 0, 2) +
                        pf_scoreboard_sum(reader, 0, 2, 2) >=
                    total);
        pf_scoreboard_clear_gauges(board, 0); /* the master's, meanwhile */
        last = total;
    }
    for (unsigned row = 0; row < 4; row++)
        assert_int_equal(pthread_join(writers[row], NULL), 0);
    assert_int_equal(pf_scoreboard_total(board, 0), 4 * COUNTED);
    pf_scoreboard_free(reader);
    pf_scoreboard_free(board);
}

static void a_wild_write_into_the_table_misleads_nobody_who_has_read_it(void **state)
{
    (void)state;
    pf_scoreboard *board = make(2);
    void *wild =
        mmap(NULL, 128, PROT_READ | PROT_WRITE, MAP_SHARED, pf_scoreboard_fd(board), 0);
    assert_true(wild != MAP_FAILED);
    memset(wild, 0xff, 128);
    pf_score(pf_scoreboard_cell(board, 1, 2), 9);
    assert_int_equal(pf_scoreboard_get(board, 1, 2), 9);
    assert_int_equal(pf_scoreboard_rows(board), 2);
    pf_scoreboard_clear_gauges(board, 1);
    assert_int_equal(ftruncate(pf_scoreboard_fd(board), 0), -1); /* sealed */
    munmap(wild, 128);
    pf_scoreboard_free(board);
}

static void wrong_tables_are_refused(void **state)
{
    (void)state;
    pf_scoreboard *board = NULL;
    struct pf_column twice[] = {columns[0], columns[0]};
    struct pf_column nameless = {"", PF_COLUMN_ID, PF_COLUMN_LANE};
    struct pf_column long_name = {"a-name-that-is-thirty-two-bytes!", PF_COLUMN_ID,
                                  PF_COLUMN_LANE};
    assert_int_equal(strlen(long_name.name), PF_SCOREBOARD_NAME_MAX);
    assert_int_equal(pf_scoreboard_new(columns, 0, 1, &board), -EINVAL);
    assert_int_equal(pf_scoreboard_new(columns, 3, 0, &board), -EINVAL);
    assert_int_equal(pf_scoreboard_new(columns, 3, PF_SCOREBOARD_ROWS_MAX + 1, &board),
                     -EINVAL);
    assert_int_equal(pf_scoreboard_new(twice, 2, 1, &board), -EINVAL);
    assert_int_equal(pf_scoreboard_new(&nameless, 1, 1, &board), -EINVAL);
    assert_int_equal(pf_scoreboard_new(&long_name, 1, 1, &board), -EINVAL);
    assert_null(board);
    pf_scoreboard_free(NULL);
}

static void memory_that_is_no_scoreboard_is_refused(void **state)
{
    (void)state;
    pf_scoreboard *board = make(2), *reader = NULL;
    off_t size = lseek(pf_scoreboard_fd(board), 0, SEEK_END);
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(pf_scoreboard_open(fd, &reader), -EPROTO); /* empty */
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(pf_scoreboard_open(fd, &reader), -EPROTO); /* zeros */
    /* Every byte of head and table turned over, one at a time: either refused, or whatever
     * it then says stays inside the memory. */
    unsigned char bytes[8192];
    assert_true(size <= (off_t)sizeof bytes);
    assert_int_equal(pread(pf_scoreboard_fd(board), bytes, (size_t)size, 0), size);
    for (size_t i = 0; i < 24 + 3 * 48; i++) {
        bytes[i] ^= 0xff;
        assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
        assert_int_equal(ftruncate(fd, size), 0);
        bytes[i] ^= 0xff;
        if (pf_scoreboard_open(fd, &reader) != 0)
            continue;
        for (unsigned c = 0; c < pf_scoreboard_columns(reader); c++)
            for (unsigned r = 0; r < pf_scoreboard_rows(reader); r++)
                (void)pf_scoreboard_get(reader, r, c);
        pf_scoreboard_free(reader);
    }
    assert_int_equal(pf_scoreboard_open(-1, &reader), -EBADF);
    close(fd);
    pf_scoreboard_free(board);
}

static void the_shared_columns_make_a_scoreboard(void **state)
{
    (void)state;
    pf_scoreboard *board;
    assert_int_equal(pf_scoreboard_new(pf__columns, PF__COLUMNS, 1024, &board), 0);
    for (unsigned i = 0; i < PF__COLUMNS; i++)
        assert_int_equal(pf_scoreboard_find(board, pf__columns[i].name), i);
    pf_scoreboard_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(cells_start_at_zero_and_hold_what_is_written),
        pf_test(writers_share_no_cache_line_pair),
        pf_test(another_process_reads_the_columns_and_the_cells_by_name),
        pf_test(a_dead_worker_leaves_its_counters_and_not_its_gauges),
        pf_test(a_sum_is_over_the_rows_that_are_asked_for),
        pf_test(a_reader_never_sees_a_total_go_back),
        pf_test(a_wild_write_into_the_table_misleads_nobody_who_has_read_it),
        pf_test(wrong_tables_are_refused),
        pf_test(memory_that_is_no_scoreboard_is_refused),
        pf_test(the_shared_columns_make_a_scoreboard),
    };
    return cmocka_run_group_tests_name("scoreboard", tests, NULL, NULL);
}
