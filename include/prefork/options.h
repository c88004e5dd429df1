/*
 * options.h - options from a table: one line per option, typed, checked, with help.
 *
 * An application describes its settings in a struct of its own and the options in a table;
 * parsing a command line writes the fields. The same table serves a configuration file:
 * pf_options_set() takes one name and one value.
 *
 *     struct config { int64_t workers; const char *app; bool verbose; };
 *     static const struct pf_option table[] = {
 *         {.name = "workers", .letter = 'w', .type = PF_OPTION_INT,
 *          .at = offsetof(struct config, workers), .min = 1, .max = 1024,
 *          .argument = "N", .help = "worker processes"},
 *         {.name = "verbose", .type = PF_OPTION_FLAG,
 *          .at = offsetof(struct config, verbose), .help = "log more"},
 *         {0}};
 *
 * Forms understood, as getopt_long(3) has them: --name=value, --name value, -w value,
 * -wvalue, flags run together (-vq), "--" ends the options. In a name `_` equals `-`.
 * No abbreviations, so that adding an option never changes what a command line means.
 * The first argument that is no option ends the options: what follows belongs to the APP.
 */
#ifndef PREFORK_OPTIONS_H
#define PREFORK_OPTIONS_H

#include <prefork/base.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pf_option_type {
    PF_OPTION_FLAG, /* bool; set by its bare name, or =true|false|yes|no|on|off|1|0 */
    PF_OPTION_INT,  /* int64_t within min..max (0, 0: any); decimal */
    PF_OPTION_SIZE, /* int64_t bytes within min..max; suffix k, m, g in either case (powers
                       of 1024) */
    PF_OPTION_DURATION, /* int64_t ns within min..max (in ns); suffix ns, us, ms, s, m, h; s
                           when there is none; fractions allowed: 1.5s */
    PF_OPTION_STRING,   /* const char *; the argument itself, not a copy */
    PF_OPTION_CHOICE,   /* int; index of the value in `choices` */
    PF_OPTION_LIST,     /* struct pf_option_list; repeatable, each use appends */
    PF_OPTION_CUSTOM,   /* whatever `parse` writes */
};

/* Where a PF_OPTION_LIST collects its values; more than fit are an error that says so. */
#define PF_OPTION_LIST_MAX 64
struct pf_option_list {
    size_t count;
    const char *values[PF_OPTION_LIST_MAX];
};

/* Enough for any message below. */
#define PF_OPTION_ERROR_MAX 256

/*
 * Parse `value` into `field`. Returns 0, or -EINVAL after writing what is wrong with the
 * value and what would be right into `why` ("must be 1 to 1024, or auto"), a phrase of at
 * most why_len - 1 bytes without the option's name or the value: the caller adds those.
 */
typedef int pf_option_parse_fn(const char *value, void *field, char *why, size_t why_len);

struct pf_option {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* short form, or 0 */
    enum pf_option_type type;
    size_t at; /* offsetof() the field in the caller's struct */
    int64_t min, max;
    const char *const *choices; /* PF_OPTION_CHOICE: NULL-terminated */
    pf_option_parse_fn *parse;  /* PF_OPTION_CUSTOM */
    const char *argument;       /* how help names the value: "N", "ADDR" */
    const char *help;           /* one line; the default belongs in it */
};

/*
 * Parse argv[1..argc-1] into `config`, the struct that the table's offsets speak of. Fields
 * of options that are not given keep what they hold, so fill in defaults before.
 *
 * Returns the index in argv of the first argument that is no option (argc if none), or
 * -EINVAL with one line in `error` (at least PF_OPTION_ERROR_MAX bytes) that names the
 * option, the value and the remedy; options before the wrong one are then already set.
 * Strings in `config` point into argv. Allocates nothing, prints nothing, no global state.
 */
PF_API int pf_options_parse(const struct pf_option *table, void *config, int argc,
                            char *const argv[], char *error);

/* A table and the struct that its offsets speak of. */
struct pf_option_set {
    const struct pf_option *table; /* NULL ends an array of sets */
    void *config;
};

/*
 * The same with several tables at once, each with a struct of its own: a program's, and
 * those of its parts. Of options with one name or letter the first is meant.
 */
PF_API int pf_options_parse_sets(const struct pf_option_set *sets, int argc,
                                 char *const argv[], char *error);

/*
 * Set one option by name, as a configuration file does. `value` must live as long as
 * `config` for PF_OPTION_STRING and PF_OPTION_LIST. Returns 0, -ENOENT for an unknown name
 * or -EINVAL for a wrong value, with one line in `error` as above.
 */
PF_API int pf_options_set(const struct pf_option *table, void *config, const char *name,
                          const char *value, char *error);

/* Print the table as help, one option a line, aligned, at most 80 columns. */
PF_API void pf_options_help(const struct pf_option *table, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
