/*
 * cli_help.c - what --help says of a command. An option that the command has itself is
 * shown with its own meaning alone: it goes before the shared one of that name.
 */
#include "bench/cli_internal.h"

#include <stdio.h>
#include <string.h>

/* Of a shared table; more are not shown. */
#define OPTIONS_MAX 64

/* What is left of a shared option beside the command's own: false nothing, else the long
 * form, and the letter if nobody has taken it. */
static bool is_left(const struct pf_option *own, struct pf_option *option)
{
    for (; own && own->name; own++) {
        if (strcmp(own->name, option->name) == 0)
            return false;
        if (own->letter && own->letter == option->letter)
            option->letter = 0;
    }
    return true;
}

static void print_section(const struct cli_section *section, const struct mode *mode,
                          const struct pf_option *own)
{
    struct pf_option left[OPTIONS_MAX + 1] = {{0}};
    size_t count = 0;
    for (const struct pf_option *at = section->table; at->name; at++) {
        struct pf_option option = *at;
        if (count < OPTIONS_MAX && !cli_is_without(mode, option.name) &&
            is_left(own, &option))
            left[count++] = option;
    }
    if (count == 0)
        return;
    printf("\n%s\n", section->title);
    pf_options_help(left, stdout);
}

void cli_help(const struct mode *mode, const struct pf_option *own)
{
    bool is_run = mode == &mode_run;
    printf("usage: prefork-bench %s%s%s\n\n%s\n", is_run ? "[run] " : mode->name,
           is_run ? "" : " ", mode->usage, mode->help);
    if (own) {
        putchar('\n');
        pf_options_help(own, stdout);
    }
    for (int i = 0; i < CLI_SECTIONS; i++)
        print_section(&cli_sections[i], mode, own);
    puts("\nExit status: 0 done; 1 wrong usage; 2 nothing succeeded; 3 not a valid\n"
         "measurement; 4 requests lost, or answers wrong; 99 a goal missed; 130 "
         "interrupted.");
}
