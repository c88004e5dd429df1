/* crashing.c - a module that crashes while it is loaded. */
#include <prefork.h>

#include <stdlib.h>

__attribute__((constructor)) static void crash(void)
{
    abort();
}

const struct pf_app prefork_app = {PF_APP, .name = "crashing"};
