/*
 * cli_without.c - shared options that mean nothing to a command (struct mode, without): its
 * help does not show them, and it does not take them as if they did something.
 */
#include "bench/cli_internal.h"

#include <string.h>

bool cli_is_without(const struct mode *mode, const char *name)
{
    for (const char *const *at = mode->without; at && *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

static size_t size_of(const struct pf_option *option)
{
    switch (option->type) {
    case PF_OPTION_FLAG:
        return sizeof(bool);
    case PF_OPTION_CHOICE:
        return sizeof(int);
    case PF_OPTION_STRING:
        return sizeof(char *);
    case PF_OPTION_LIST:
        return sizeof(struct pf_option_list);
    case PF_OPTION_INT:
    case PF_OPTION_SIZE:
    case PF_OPTION_DURATION:
    case PF_OPTION_CUSTOM: /* a number, too: quantity.h */
        break;
    }
    return sizeof(int64_t);
}

int cli_refuse_without(const struct mode *mode, const struct cli_config *config)
{
    for (int i = 0; i < CLI_SECTIONS; i++)
        for (const struct pf_option *at = cli_sections[i].table; at->name; at++) {
            bool given = memcmp((const char *)config + at->at,
                                (const char *)&cli_defaults + at->at, size_of(at)) != 0;
            /* Of these mode_refuse_repeat() knows what to do instead. */
            bool later = strcmp(at->name, "repeat") == 0 || strcmp(at->name, "vs") == 0;
            if (given && !later && cli_is_without(mode, at->name))
                return cli_fail("--%s: means nothing to %s; leave it out, and see "
                                "prefork-bench %s --help",
                                at->name, mode->name, mode->name);
        }
    return 0;
}
