/*
 * scoreboard.c - counters in shared memory; see prefork/ipc.h.
 *
 * The memory, all of it in one memfd:
 *
 *     struct head | struct entry[columns] | (to 128) | row 0 | row 1 | ...
 *     a row: cells the lane writes | (to 128) | cells the master writes | (to 128)
 *
 * 128 and not 64: processors fetch cache lines in pairs.
 */
#include <prefork/ipc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'p', 'f', 's', 'c', 'o', 'r', 'e', '1'};
enum {
    LINE = 128
};

struct head {
    char magic[8];
    uint32_t columns, rows;
    uint32_t rows_at;  /* bytes from the start */
    uint32_t row_size; /* bytes */
};

struct entry {
    char name[PF_SCOREBOARD_NAME_MAX];
    uint32_t kind, writer;
    uint32_t at;   /* bytes from the start of a row */
    uint32_t size; /* bytes of a cell: 8 */
};

struct pf_scoreboard {
    char *memory; /* the mapping */
    size_t size;
    int fd;
    struct head head; /* of our own, as is the table: others can write what is mapped */
    struct entry entries[PF_SCOREBOARD_COLUMNS_MAX];
};

static size_t to_line(size_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

static size_t rows_at(size_t columns)
{
    return to_line(sizeof(struct head) + columns * sizeof(struct entry));
}

static bool columns_fit(const struct pf_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = columns[i].name;
        if (!name || !*name || strlen(name) >= PF_SCOREBOARD_NAME_MAX)
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(name, columns[j].name) == 0)
                return false;
    }
    return count >= 1 && count <= PF_SCOREBOARD_COLUMNS_MAX;
}

/* Give each writer's columns places in a row of their own lines; returns the row's size. */
static size_t lay_out(const struct pf_column *columns, size_t count, struct entry *out)
{
    size_t at = 0;
    for (int writer = PF_COLUMN_LANE; writer <= PF_COLUMN_MASTER; writer++) {
        for (size_t i = 0; i < count; i++) {
            if ((int)columns[i].writer != writer)
                continue;
            out[i] = (struct entry){.kind = columns[i].kind,
                                    .writer = columns[i].writer,
                                    .at = (uint32_t)at,
                                    .size = sizeof(uint64_t)};
            memcpy(out[i].name, columns[i].name, strlen(columns[i].name));
            at += sizeof(uint64_t);
        }
        at = to_line(at);
    }
    return at;
}

static int map(int fd, size_t size, int protection, char **out)
{
    void *at = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *out = at;
    return 0;
}

int pf_scoreboard_new(const struct pf_column *columns, size_t count, unsigned rows,
                      pf_scoreboard **out)
{
    if (!columns || !out || !columns_fit(columns, count) || rows < 1 ||
        rows > PF_SCOREBOARD_ROWS_MAX)
        return -EINVAL;
    int err = -ENOMEM;
    pf_scoreboard *board = calloc(1, sizeof *board);
    if (!board)
        return err;
    size_t row_size = lay_out(columns, count, board->entries);
    size_t size = rows_at(count) + rows * row_size;
    board->size = size;
    board->fd = memfd_create("prefork-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (board->fd == -1 || ftruncate(board->fd, (off_t)size) != 0) {
        err = -errno;
        goto fail;
    }
    /* Nobody can shrink it under those who map it (SIGBUS). */
    (void)fcntl(board->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    err = map(board->fd, size, PROT_READ | PROT_WRITE, &board->memory);
    if (err)
        goto fail;
    board->head = (struct head){.columns = (uint32_t)count,
                                .rows = rows,
                                .rows_at = (uint32_t)rows_at(count),
                                .row_size = (uint32_t)row_size};
    memcpy(board->head.magic, magic, sizeof magic);
    memcpy(board->memory, &board->head, sizeof board->head);
    memcpy(board->memory + sizeof board->head, board->entries,
           count * sizeof *board->entries);
    *out = board;
    return 0;

fail:
    if (board->fd != -1)
        close(board->fd);
    free(board);
    return err;
}

/* A table from elsewhere: every offset in it must stay inside the memory that is there. */
static bool is_scoreboard(const struct pf_scoreboard *board)
{
    const struct head *head = &board->head;
    size_t size = board->size;
    if (memcmp(head->magic, magic, sizeof magic) != 0 || head->columns < 1 ||
        head->columns > PF_SCOREBOARD_COLUMNS_MAX || head->rows < 1 ||
        head->rows > PF_SCOREBOARD_ROWS_MAX || head->rows_at < rows_at(head->columns) ||
        head->row_size % sizeof(uint64_t) || head->rows_at % sizeof(uint64_t) ||
        head->rows_at + (uint64_t)head->rows * head->row_size > size)
        return false;
    for (uint32_t i = 0; i < head->columns; i++) {
        const struct entry *entry = &board->entries[i];
        if (entry->size != sizeof(uint64_t) || entry->at % sizeof(uint64_t) ||
            (uint64_t)entry->at + entry->size > head->row_size ||
            !memchr(entry->name, 0, sizeof entry->name))
            return false;
    }
    return true;
}

int pf_scoreboard_open(int fd, pf_scoreboard **out)
{
    struct stat st;
    if (!out)
        return -EINVAL;
    if (fstat(fd, &st) != 0)
        return -errno;
    size_t size = (size_t)st.st_size;
    if (st.st_size < 0 || size < sizeof(struct head))
        return -EPROTO;
    pf_scoreboard *board = calloc(1, sizeof *board);
    if (!board)
        return -ENOMEM;
    board->fd = -1;
    board->size = size;
    int err = map(fd, size, PROT_READ, &board->memory);
    if (err)
        goto fail;
    size_t table = size - sizeof board->head;
    memcpy(&board->head, board->memory, sizeof board->head);
    memcpy(board->entries, board->memory + sizeof board->head,
           table < sizeof board->entries ? table : sizeof board->entries);
    if (!is_scoreboard(board)) {
        munmap(board->memory, size);
        err = -EPROTO;
        goto fail;
    }
    *out = board;
    return 0;

fail:
    free(board);
    return err;
}

void pf_scoreboard_free(pf_scoreboard *board)
{
    if (!board)
        return;
    munmap(board->memory, board->size);
    if (board->fd != -1)
        close(board->fd);
    free(board);
}

int pf_scoreboard_fd(const pf_scoreboard *board)
{
    return board->fd;
}

unsigned pf_scoreboard_rows(const pf_scoreboard *board)
{
    return board->head.rows;
}

unsigned pf_scoreboard_columns(const pf_scoreboard *board)
{
    return board->head.columns;
}

int pf_scoreboard_find(const pf_scoreboard *board, const char *name)
{
    for (uint32_t i = 0; i < board->head.columns; i++)
        if (strcmp(board->entries[i].name, name) == 0)
            return (int)i;
    return -ENOENT;
}

bool pf_scoreboard_describe(const pf_scoreboard *board, unsigned column,
                            struct pf_column *out)
{
    if (column >= board->head.columns)
        return false;
    const struct entry *entry = &board->entries[column];
    *out = (struct pf_column){.name = entry->name,
                              .kind = (enum pf_column_kind)entry->kind,
                              .writer = (enum pf_column_writer)entry->writer};
    return true;
}

uint64_t *pf_scoreboard_cell(const pf_scoreboard *board, unsigned row, unsigned column)
{
    const struct head *head = &board->head;
    if (row >= head->rows || column >= head->columns)
        return NULL;
    uintptr_t at = (uintptr_t)board->memory + head->rows_at + (size_t)row * head->row_size +
                   board->entries[column].at;
    return (uint64_t *)at;
}

uint64_t pf_scoreboard_get(const pf_scoreboard *board, unsigned row, unsigned column)
{
    const uint64_t *cell = pf_scoreboard_cell(board, row, column);
    return cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;
}

uint64_t pf_scoreboard_sum(const pf_scoreboard *board, unsigned column, unsigned first,
                           unsigned count)
{
    uint64_t sum = 0;
    for (unsigned row = first; row < board->head.rows && row - first < count; row++)
        sum += pf_scoreboard_get(board, row, column);
    return sum;
}

uint64_t pf_scoreboard_total(const pf_scoreboard *board, unsigned column)
{
    return pf_scoreboard_sum(board, column, 0, board->head.rows);
}

void pf_scoreboard_clear_gauges(pf_scoreboard *board, unsigned row)
{
    for (uint32_t i = 0; i < board->head.columns; i++)
        if (board->entries[i].kind == PF_COLUMN_GAUGE)
            pf_score(pf_scoreboard_cell(board, row, i), 0);
}
