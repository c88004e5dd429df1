/*
 * view.h - the master's answers to the commands of its control socket.
 */
#ifndef PREFORK_MASTER_VIEW_H
#define PREFORK_MASTER_VIEW_H

#include "master/control.h"

/* The commands; their argument is the struct pf__master. The last has no name. */
extern const struct pf__control_command pf__view_commands[];

#endif
