/*
 * levels.c - which events are logged: a level for all, and levels for names.
 *
 * Names are kept in a short table that only grows. A place is taken by raising a counter,
 * filled, and shown by a flag; from then on nothing but its level changes. So any thread
 * may set a level while others log, and a fork finds no lock that somebody holds. If two
 * threads set a new name at the same time it may stand there twice: the first place counts,
 * as if its thread had been the second.
 *
 * A name is looked up anew for each event. The table is empty in most programs, and small
 * in the others.
 */
#include <errno.h>
#include <prefork/log.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct named {
    atomic_bool is_shown;
    atomic_int level;
    size_t len;
    char name[PF_LOG_NAME_MAX];
};

static atomic_int level_of_all = PF_LOG_INFO;
static atomic_uint taken; /* places; may be more than there are */
static struct named names[PF_LOG_NAMES_MAX];

static const char *const words[] = {"debug", "info", "warn", "error"};

/* ---- the table ------------------------------------------------------------------- */

static unsigned places(void)
{
    unsigned n = atomic_load_explicit(&taken, memory_order_relaxed);
    return n < PF_LOG_NAMES_MAX ? n : PF_LOG_NAMES_MAX;
}

static bool is_shown(const struct named *named)
{
    return atomic_load_explicit(&named->is_shown, memory_order_acquire);
}

static struct named *find(const char *name, size_t len)
{
    for (unsigned i = 0; i < places(); i++)
        if (is_shown(&names[i]) && names[i].len == len &&
            memcmp(names[i].name, name, len) == 0)
            return &names[i];
    return NULL;
}

/* Is it the name, or one that the name begins with, up to a dot? */
static bool is_above(const struct named *named, const char *name)
{
    return strncmp(named->name, name, named->len) == 0 &&
           (name[named->len] == '\0' || name[named->len] == '.');
}

static int level_of(const char *name)
{
    size_t longest = 0;
    int level = atomic_load_explicit(&level_of_all, memory_order_relaxed);
    for (unsigned i = 0; name && *name && i < places(); i++)
        if (is_shown(&names[i]) && names[i].len > longest && is_above(&names[i], name)) {
            longest = names[i].len;
            level = atomic_load_explicit(&names[i].level, memory_order_relaxed);
        }
    return level;
}

/* Returns 0 or -ENOSPC. */
static int set(const char *name, size_t len, int level)
{
    struct named *named = find(name, len);
    if (named) {
        atomic_store_explicit(&named->level, level, memory_order_relaxed);
        return 0;
    }
    if (places() == PF_LOG_NAMES_MAX)
        return -ENOSPC;
    unsigned place = atomic_fetch_add(&taken, 1);
    if (place >= PF_LOG_NAMES_MAX)
        return -ENOSPC;
    named = &names[place];
    memcpy(named->name, name, len);
    named->len = len;
    atomic_store_explicit(&named->level, level, memory_order_relaxed);
    atomic_store_explicit(&named->is_shown, true, memory_order_release);
    return 0;
}

/* ---- text ------------------------------------------------------------------------ */

/* Words of letters, digits, - and _, with dots between them. */
static bool is_name(const char *name, size_t len)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    if (len == 0 || len >= PF_LOG_NAME_MAX || name[0] == '.' || name[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!memchr(letters, name[i], sizeof letters - 1) ||
            (name[i] == '.' && name[i + 1] == '.'))
            return false;
    return true;
}

static int level_called(const char *word, size_t len)
{
    for (int i = 0; i <= PF_LOG_ERROR; i++)
        if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
            return i;
    return -EINVAL;
}

/* An item of a list, NAME=LEVEL or LEVEL; its name is then of length 0. */
struct item {
    const char *name, *word;
    size_t name_len, word_len;
};

/* Take the next one off *text, which is not at its end. */
static struct item take_item(const char **text)
{
    const char *at = *text;
    size_t len = strcspn(at, ",");
    const char *equals = memchr(at, '=', len);
    struct item item = {.name = at, .word = equals ? equals + 1 : at};
    item.name_len = equals ? (size_t)(equals - at) : 0;
    item.word_len = len - (size_t)(item.word - at);
    *text = at + len + (at[len] == ',' && at[len + 1] != '\0');
    return item;
}

/* Without a = there is no name; with one there is to be one. */
static bool is_right(const struct item *item)
{
    return (item->word == item->name || is_name(item->name, item->name_len)) &&
           level_called(item->word, item->word_len) >= 0;
}

/* Returns how many new names there are, or -EINVAL with *bad. */
static int check(const char *text, struct item *bad)
{
    int count = 0;
    do {
        struct item item = take_item(&text);
        if (!is_right(&item)) {
            *bad = item;
            return -EINVAL;
        }
        count += item.name_len > 0 && !find(item.name, item.name_len);
    } while (*text);
    return count;
}

static void tell(const struct item *bad, char *why, size_t why_len)
{
    int len = (int)(bad->word + bad->word_len - bad->name);
    if (why)
        (void)snprintf(why, why_len,
                       "must be debug, info, warn or error, and NAME=LEVEL for parts, such "
                       "as info,app.db=debug; not \"%.*s\"",
                       len < 60 ? len : 60, bad->name);
}

/* ---- for everybody --------------------------------------------------------------- */

void pf_log_set_level(enum pf_log_level level)
{
    atomic_store_explicit(&level_of_all, (int)level, memory_order_relaxed);
}

bool pf_log_enabled(enum pf_log_level level)
{
    return (int)level >= atomic_load_explicit(&level_of_all, memory_order_relaxed);
}

int pf_log_set_named_level(const char *name, enum pf_log_level level)
{
    size_t len = name ? strnlen(name, PF_LOG_NAME_MAX) : 0;
    return is_name(name, len) ? set(name, len, (int)level) : -EINVAL;
}

bool pf_log_named_enabled(const char *name, enum pf_log_level level)
{
    return (int)level >= level_of(name);
}

int pf_log_set_levels(const char *text, char *why, size_t why_len)
{
    struct item bad = {"", "", 0, 0};
    int count = text ? check(text, &bad) : -EINVAL;
    if (count < 0) {
        tell(&bad, why, why_len);
        return count;
    }
    if ((unsigned)count > PF_LOG_NAMES_MAX - places()) {
        if (why)
            (void)snprintf(why, why_len, "must have at most %d names", PF_LOG_NAMES_MAX);
        return -ENOSPC;
    }
    int err = 0; /* unless another thread takes the places meanwhile */
    do {
        struct item item = take_item(&text);
        int level = level_called(item.word, item.word_len);
        if (item.name_len > 0)
            err = set(item.name, item.name_len, level);
        else
            pf_log_set_level((enum pf_log_level)level);
    } while (!err && *text);
    return err;
}
