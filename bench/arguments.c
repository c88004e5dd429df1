#include "bench/arguments.h"

#include <errno.h>
#include <stdio.h>

int arguments_parse(const struct pf_option_set *sets, int argc, char **argv,
                    const char **words, int most, char error[PF_OPTION_ERROR_MAX])
{
    int count = 0;
    while (argc > 0) {
        /* What stands first was dealt with, like the name. */
        int at = pf_options_parse_sets(sets, argc, argv, error);
        if (at < 0)
            return -EINVAL;
        if (at >= argc)
            break;
        if (count == most) {
            snprintf(error, PF_OPTION_ERROR_MAX, "%s", argv[at]);
            return -E2BIG;
        }
        words[count++] = argv[at];
        argc -= at;
        argv += at;
    }
    return count;
}
