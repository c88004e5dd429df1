/*
 * when.c - dates of HTTP, whatever the locale and the time zone; see when.h.
 */
#include "http/when.h"

#include <errno.h>

struct moment {
    int year, month, day; /* month 1 to 12 */
    int hour, minute, second;
};

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char day_names[] = "SunMonTueWedThuFriSat";
static const char *const long_day_names[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Whole days from 1970 to the beginning of a year. */
static int64_t days_before_year(int year)
{
    int64_t before = (int64_t)year - 1; /* the last year that counts as a whole */
    int64_t leaps = before >= 0 ? before / 4 - before / 100 + before / 400 : -1;
    return (before - 1969) * 365 + leaps - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t second_of(const struct moment *moment)
{
    int64_t days = days_before_year(moment->year) + moment->day - 1;
    for (int month = 1; month < moment->month; month++)
        days += days_in_month(moment->year, month);
    return ((days * 24 + moment->hour) * 60 + moment->minute) * 60 + moment->second;
}

static bool is_valid(const struct moment *moment)
{
    return moment->day >= 1 && moment->day <= days_in_month(moment->year, moment->month) &&
           moment->hour <= 23 && moment->minute <= 59 && moment->second <= 60;
}

/* ---- the pieces of text ---------------------------------------------------------- */

/* Which of the three-letter names it is, from 0; -1: none. */
static int index_of(const char *names, const char *name)
{
    for (int i = 0; names[3 * i]; i++)
        if (memcmp(names + 3 * i, name, 3) == 0)
            return i;
    return -1;
}

/* The number that a letter of a form is a digit of, or NULL. */
static int *number_of(struct moment *moment, char letter)
{
    switch (letter) {
    case 'Y':
        return &moment->year;
    case 'D':
        return &moment->day;
    case 'h':
        return &moment->hour;
    case 'm':
        return &moment->minute;
    case 's':
        return &moment->second;
    default:
        return NULL;
    }
}

/*
 * Read text as `form` says: letters as above stand for digits of a number, ? for a digit of
 * the day or a blank, *** for the name of a month, ... for that of a weekday, and all else
 * for itself.
 */
static bool reads_as(struct pf__text text, const char *form, struct moment *moment)
{
    *moment = (struct moment){0};
    if (text.len != strlen(form))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i], letter = form[i] == '?' && c != ' ' ? 'D' : form[i];
        int *number = number_of(moment, letter);
        if (number) {
            if (!pf__is_digit(c))
                return false;
            *number = *number * 10 + (c - '0');
        } else if (letter == '*' || letter == '.') {
            int name = index_of(letter == '*' ? month_names : day_names, &text.at[i]);
            if (name < 0)
                return false;
            if (letter == '*')
                moment->month = name + 1;
            i += 2;
        } else if (letter != '?' && c != letter) {
            return false;
        }
    }
    return true;
}

/* Behind "Sunday": what RFC 850 dates have in common. */
static bool reads_as_rfc850(struct pf__text text, struct moment *moment)
{
    struct pf__text day = {text.at, pf__text_find(text, ',')};
    for (size_t i = 0; i < 7; i++)
        if (pf__text_equals(day, pf__text_of(long_day_names[i])))
            return reads_as(pf__text_skip(text, day.len), ", DD-***-YY hh:mm:ss GMT",
                            moment);
    return false;
}

/* Give two digits a century. */
static void choose_year(struct moment *moment, int64_t now)
{
    int digits = moment->year;
    for (moment->year = 9900 + digits; moment->year >= 100; moment->year -= 100) {
        struct moment back = *moment;
        back.year -= 50;
        if (second_of(&back) <= now)
            break;
    }
}

int pf__when_parse(struct pf__text text, int64_t now, int64_t *second)
{
    struct moment moment;
    if (reads_as_rfc850(text, &moment))
        choose_year(&moment, now);
    else if (!reads_as(text, "..., DD *** YYYY hh:mm:ss GMT", &moment) &&
             !reads_as(text, "... *** ?D hh:mm:ss YYYY", &moment))
        return -EINVAL;
    if (!is_valid(&moment))
        return -EINVAL;
    *second = second_of(&moment);
    return 0;
}
