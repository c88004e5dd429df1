/*
 * options.c - options from a table: one line per option, typed, checked, with help.
 *
 * Both ways in, a command line and pf_options_set(), end in assign(), which hands the value
 * to one function per type. These write the field only when the value is right, and
 * otherwise say what would be right in `why`; the line for the user is made in one place,
 * refuse(). Nothing is allocated: strings stay where the caller has them.
 */
#include <errno.h>
#include <prefork/options.h>
#include <string.h>
#include <strings.h>

#define HELP_WIDTH      80
#define HELP_COLUMN_MIN 8
#define HELP_COLUMN_MAX 30 /* a longer option has a line of its own */

/* Room for a phrase, and how much of a name and a value is shown, so that all fit a line.
 */
#define WHY_MAX     128
#define SHOWN_NAME  32
#define SHOWN_VALUE 72

/* ---- errors ---------------------------------------------------------------------- */

/* How the user gave an option: "--" "workers", "-" "w", or "" "workers" in a file. */
struct given {
    const char *dashes;
    const char *name;
    size_t len;
};

/* Write "--workers 0: must be 1 to 1024" into `error`, as one line whatever the user typed.
 */
static int refuse(char *error, struct given given, const char *value, const char *why)
{
    int len = given.len < SHOWN_NAME ? (int)given.len : SHOWN_NAME;
    if (value && !*value)
        value = "''";
    (void)snprintf(error, PF_OPTION_ERROR_MAX, "%s%.*s%s%.*s: %.*s", given.dashes, len,
                   given.name, value ? " " : "", SHOWN_VALUE, value ? value : "", WHY_MAX,
                   why);
    for (char *at = error; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return -EINVAL;
}

/* ---- numbers --------------------------------------------------------------------- */

struct unit {
    const char *suffix;
    int64_t factor;
};

/* A way of writing numbers. The units go from large to small. */
struct notation {
    const char *what;
    const struct unit *units;
    int64_t bare;         /* the factor when there is no suffix */
    bool fractions, sums; /* 1.5s; 1m30s */
    int64_t min;          /* when the option has no limits of its own */
    bool any_case;        /* of the suffix */
};

static const struct unit no_units[] = {{"", 1}, {0}};
static const struct notation whole = {
    "a whole number of 64 bits", no_units, 1, false, false, INT64_MIN, false};

static const struct unit size_units[] = {{"g", INT64_C(1) << 30},
                                         {"m", INT64_C(1) << 20},
                                         {"k", INT64_C(1) << 10},
                                         {"", 1},
                                         {0}};
static const struct notation size = {
    "a size such as 4096, 64k or 1g", size_units, 1, false, false, 0, true};

static const struct unit time_units[] = {{"h", 3600 * PF_SECOND},
                                         {"m", 60 * PF_SECOND},
                                         {"s", PF_SECOND},
                                         {"ms", PF_MILLISECOND},
                                         {"us", PF_MICROSECOND},
                                         {"ns", 1},
                                         {0}};
static const struct notation duration = {
    "a time such as 500ms, 1.5s or 1m30s", time_units, PF_SECOND, true, true, 0, false};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at)
{
    while (is_digit(*at))
        at++;
    return at;
}

/* The factor of a suffix, 0 if there is no such suffix. */
static int64_t factor_of(const struct notation *notation, const char *suffix, size_t len)
{
    if (len == 0)
        return notation->bare;
    for (const struct unit *unit = notation->units; unit->suffix; unit++)
        if (strlen(unit->suffix) == len &&
            (notation->any_case ? strncasecmp : strncmp)(unit->suffix, suffix, len) == 0)
            return unit->factor;
    return 0;
}

/*
 * Read digits[.digits][suffix] from *text on, which is moved behind it. The value is kept
 * negative, because INT64_MIN has no positive twin. Returns the factor, 0 if that is none.
 */
static int64_t read_term(const struct notation *notation, const char **text, int64_t *out)
{
    const char *at = *text, *end = skip_digits(at);
    if (end == at)
        return 0;
    const char *fraction = end; /* empty */
    if (*end == '.' && notation->fractions && is_digit(end[1])) {
        fraction = end + 1;
        end = skip_digits(fraction);
    }
    size_t suffix_len = strcspn(end, "0123456789");
    int64_t factor = factor_of(notation, end, suffix_len), unit = factor;
    int64_t value = 0;
    *text = end + suffix_len;
    for (; is_digit(*at); at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *at - '0', &value))
            return 0;
    if (__builtin_mul_overflow(value, factor, &value))
        return 0;
    for (; fraction < end; fraction++) {
        factor /= 10;
        if (__builtin_sub_overflow(value, (*fraction - '0') * factor, &value))
            return 0;
    }
    *out = value;
    return unit;
}

/*
 * Read [-]term, all of `text`; or several terms, from the largest unit to the smallest,
 * each with its suffix. Not strtoll(3), which skips spaces and takes "+", nor strtod(3),
 * which asks the locale.
 */
static int read_number(const struct notation *notation, const char *text, int64_t *out)
{
    bool negative = *text == '-';
    const char *at = negative ? text + 1 : text;
    int64_t value;
    int64_t unit = read_term(notation, &at, &value);
    if (unit == 0)
        return -EINVAL;
    while (*at) {
        int64_t more, before = unit;
        unit = notation->sums ? read_term(notation, &at, &more) : 0;
        if (unit == 0 || unit >= before || is_digit(at[-1]) ||
            __builtin_add_overflow(value, more, &value))
            return -EINVAL;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return -EINVAL;
    *out = value;
    return 0;
}

/* Write a limit as a user would: in the largest unit that leaves no fraction. */
static const char *write_number(const struct notation *notation, int64_t value, char *text,
                                size_t len)
{
    const struct unit *unit = notation->units;
    while (unit->factor > 1 && value % unit->factor != 0)
        unit++;
    if (value == 0)
        (void)snprintf(text, len, "0");
    else
        (void)snprintf(text, len, "%lld%s", (long long)(value / unit->factor),
                       unit->suffix);
    return text;
}

static int parse_number(const struct notation *notation, const struct pf_option *option,
                        const char *value, void *field, char *why)
{
    bool limited = option->min != 0 || option->max != 0;
    int64_t min = limited ? option->min : notation->min;
    int64_t max = limited ? option->max : INT64_MAX;
    int64_t number;
    if (read_number(notation, value, &number) == 0 && number >= min && number <= max) {
        *(int64_t *)field = number;
        return 0;
    }
    char from[32], to[32];
    write_number(notation, min, from, sizeof from);
    write_number(notation, max, to, sizeof to);
    if (max < INT64_MAX)
        (void)snprintf(why, WHY_MAX, "must be %s to %s", from, to);
    else if (min > INT64_MIN)
        (void)snprintf(why, WHY_MAX, "must be %s, at least %s", notation->what, from);
    else
        (void)snprintf(why, WHY_MAX, "must be %s", notation->what);
    return -EINVAL;
}

/* ---- other types ----------------------------------------------------------------- */

static int parse_flag(const char *value, bool *field, char *why)
{
    static const char *const words[] = {"true", "false", "yes", "no",
                                        "on",   "off",   "1",   "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(value, words[i]) == 0) {
            *field = i % 2 == 0;
            return 0;
        }
    }
    (void)snprintf(why, WHY_MAX, "must be yes or no (true, false, on, off, 1, 0)");
    return -EINVAL;
}

static int parse_choice(const char *const *choices, const char *value, int *field,
                        char *why)
{
    for (int i = 0; choices[i]; i++) {
        if (strcmp(value, choices[i]) == 0) {
            *field = i;
            return 0;
        }
    }
    size_t len = 0;
    for (int i = 0; choices[i] && len < WHY_MAX; i++) {
        const char *before = i == 0 ? "must be " : choices[i + 1] ? ", " : " or ";
        len += (size_t)snprintf(why + len, WHY_MAX - len, "%s%s", before, choices[i]);
    }
    return -EINVAL;
}

static int parse_list(const char *value, struct pf_option_list *field, char *why)
{
    if (field->count >= PF_OPTION_LIST_MAX) {
        (void)snprintf(why, WHY_MAX, "may be given %d times at the most",
                       PF_OPTION_LIST_MAX);
        return -EINVAL;
    }
    field->values[field->count++] = value;
    return 0;
}

static int parse_value(const struct pf_option *option, const char *value, void *field,
                       char *why)
{
    switch (option->type) {
    case PF_OPTION_FLAG:
        return parse_flag(value, field, why);
    case PF_OPTION_INT:
        return parse_number(&whole, option, value, field, why);
    case PF_OPTION_SIZE:
        return parse_number(&size, option, value, field, why);
    case PF_OPTION_DURATION:
        return parse_number(&duration, option, value, field, why);
    case PF_OPTION_STRING:
        *(const char **)field = value;
        return 0;
    case PF_OPTION_CHOICE:
        return parse_choice(option->choices, value, field, why);
    case PF_OPTION_LIST:
        return parse_list(value, field, why);
    case PF_OPTION_CUSTOM:
        return option->parse(value, field, why, WHY_MAX);
    }
    return -EINVAL;
}

/* Give an option its value. `value` is NULL if the user gave none. */
static int assign(const struct pf_option *option, void *config, struct given given,
                  const char *value, char *error)
{
    char why[WHY_MAX] = "not a value that this option takes";
    void *field = (char *)config + option->at;
    given.dashes = *given.dashes ? "--" : ""; /* -w is shown as --workers */
    given.name = option->name;
    given.len = strlen(option->name);

    if (!value && option->type == PF_OPTION_FLAG) {
        *(bool *)field = true;
        return 0;
    }
    if (!value) {
        const char *argument = option->argument ? option->argument : "VALUE";
        (void)snprintf(why, sizeof why, "needs a value (%s)", argument);
        return refuse(error, given, NULL, why);
    }
    return parse_value(option, value, field, why) < 0 ? refuse(error, given, value, why)
                                                      : 0;
}

/* ---- finding an option ----------------------------------------------------------- */

static int fold(char c)
{
    return c == '_' ? '-' : c;
}

/* Is `name` the len bytes at `given`, with `_` the same as `-`? */
static bool same_name(const char *name, const char *given, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!name[i] || fold(name[i]) != fold(given[i]))
            return false;
    return !name[len];
}

static const struct pf_option *find_name(const struct pf_option *table, struct given given)
{
    for (; table->name; table++)
        if (same_name(table->name, given.name, given.len))
            return table;
    return NULL;
}

static const struct pf_option *find_letter(const struct pf_option *table, char letter)
{
    for (; table->name; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

/* How many letters differ, are missing or are too many: Levenshtein's distance. */
static size_t distance(const char *name, struct given given)
{
    size_t
        row[SHOWN_NAME + 1]; /* the distances of all beginnings of `given` from name[..i] */
    for (size_t j = 0; j <= given.len; j++)
        row[j] = j;
    for (size_t i = 0; name[i]; i++) {
        size_t diagonal = row[0]++;
        for (size_t j = 0; j < given.len; j++) {
            size_t best = diagonal + (fold(name[i]) != fold(given.name[j]));
            diagonal = row[j + 1];
            best = best <= row[j] ? best : row[j] + 1;
            row[j + 1] = best <= diagonal ? best : diagonal + 1;
        }
    }
    return row[given.len];
}

static int refuse_unknown(const struct pf_option_set *sets, struct given given, char *error)
{
    char why[WHY_MAX] = "unknown option; see --help";
    size_t nearest = 3; /* two slips at the most, and not in half of a short name */
    for (; sets->table && given.len <= SHOWN_NAME; sets++)
        for (const struct pf_option *option = sets->table; option->name; option++) {
            size_t d = distance(option->name, given);
            if (d < nearest && d * 2 < given.len) {
                nearest = d;
                (void)snprintf(why, sizeof why, "unknown option; did you mean %s%s?",
                               given.dashes, option->name);
            }
        }
    return refuse(error, given, NULL, why);
}

/* ---- a command line -------------------------------------------------------------- */

/* A command line being read: argv[at] is the argument in hand. */
struct line {
    const struct pf_option_set *sets;
    const struct pf_option_set *set; /* of the option in hand */
    int argc;
    char *const *argv;
    int at;
    char *error;
};

static const char *next_argument(struct line *line)
{
    return line->at + 1 < line->argc ? line->argv[++line->at] : NULL;
}

/* The first set that has it wins. */
static const struct pf_option *look_up(struct line *line, struct given given)
{
    bool is_letter = given.dashes[1] == '\0';
    for (line->set = line->sets; line->set->table; line->set++) {
        const struct pf_option *option = is_letter
                                             ? find_letter(line->set->table, *given.name)
                                             : find_name(line->set->table, given);
        if (option)
            return option;
    }
    return NULL;
}

/* "--name", "--name=value" or "--name value" */
static int parse_long(struct line *line)
{
    const char *name = line->argv[line->at] + 2;
    size_t len = strcspn(name, "=");
    struct given given = {"--", name, len};
    const struct pf_option *option = look_up(line, given);
    if (!option)
        return refuse_unknown(line->sets, given, line->error);

    const char *value = NULL;
    if (name[len] == '=')
        value = name + len + 1;
    else if (option->type != PF_OPTION_FLAG)
        value = next_argument(line);
    return assign(option, line->set->config, given, value, line->error);
}

/* "-v", "-vq", "-w4", "-w 4" or "-vw4" */
static int parse_letters(struct line *line)
{
    const char *letter = line->argv[line->at] + 1;
    bool more = true;
    int err = 0;
    for (; err == 0 && more && *letter; letter++) {
        struct given given = {"-", letter, 1};
        const struct pf_option *option = look_up(line, given);
        if (!option)
            return refuse_unknown(line->sets, given, line->error);

        const char *value = NULL;
        more = option->type == PF_OPTION_FLAG;
        if (!more)
            value = letter[1] ? letter + 1 : next_argument(line);
        err = assign(option, line->set->config, given, value, line->error);
    }
    return err;
}

int pf_options_parse_sets(const struct pf_option_set *sets, int argc, char *const argv[],
                          char *error)
{
    struct line line = {sets, sets, argc, argv, 1, error};
    for (; line.at < argc; line.at++) {
        const char *argument = argv[line.at];
        if (argument[0] != '-' || argument[1] == '\0') /* "-" is an argument too */
            return line.at;
        if (strcmp(argument, "--") == 0)
            return line.at + 1;
        int err = argument[1] == '-' ? parse_long(&line) : parse_letters(&line);
        if (err)
            return err;
    }
    return argc;
}

int pf_options_parse(const struct pf_option *table, void *config, int argc,
                     char *const argv[], char *error)
{
    const struct pf_option_set sets[] = {{table, config}, {0}};
    return pf_options_parse_sets(sets, argc, argv, error);
}

int pf_options_set(const struct pf_option *table, void *config, const char *name,
                   const char *value, char *error)
{
    struct given given = {"", name, strlen(name)};
    const struct pf_option *option = find_name(table, given);
    if (option)
        return assign(option, config, given, value, error);
    const struct pf_option_set sets[] = {{table, config}, {0}};
    (void)refuse_unknown(sets, given, error);
    return -ENOENT;
}

/* ---- help ------------------------------------------------------------------------ */

/* "  -w, --workers N" into text; returns its length. */
static int left_part(const struct pf_option *option, char *text, size_t len)
{
    char letter[] = {' ', ' ', ' ', ' ', '\0'};
    if (option->letter)
        memcpy(letter, (char[]){'-', option->letter, ','}, 3);
    const char *argument = option->argument ? option->argument : "";
    int n = snprintf(text, len, "  %s--%s%s%s", letter, option->name, *argument ? " " : "",
                     argument);
    return n < (int)len ? n : (int)len - 1;
}

/* Print the words of `text` from `column` on, which is where the cursor stands. */
static void print_wrapped(const char *text, int column, FILE *to)
{
    int at = column;
    for (;;) {
        text += strspn(text, " ");
        int word = (int)strcspn(text, " ");
        if (word == 0)
            break;
        if (at > column && at + 1 + word > HELP_WIDTH) {
            fprintf(to, "\n%*s", column, "");
            at = column;
        }
        at += fprintf(to, "%s%.*s", at > column ? " " : "", word, text);
        text += word;
    }
    fputc('\n', to);
}

void pf_options_help(const struct pf_option *table, FILE *to)
{
    char left[HELP_WIDTH + 1];
    int column = HELP_COLUMN_MIN; /* where the texts begin */
    for (const struct pf_option *option = table; option->name; option++) {
        int end = left_part(option, left, sizeof left) + 2;
        if (end > column && end <= HELP_COLUMN_MAX)
            column = end;
    }
    for (; table->name; table++) {
        int len = left_part(table, left, sizeof left);
        if (len + 2 > column)
            fprintf(to, "%s\n%*s", left, column, "");
        else
            fprintf(to, "%-*s", column, left);
        print_wrapped(table->help ? table->help : "", column, to);
    }
}
