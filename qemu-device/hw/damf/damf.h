/*
 * DAMF accelerator: state of the PCI device around the device core
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_DAMF_H
#define HW_DAMF_H

#include "hw/pci/pci_device.h"
#include "qemu/thread.h"
#include "core/damf_core.h"

#define TYPE_DAMF "damf"
OBJECT_DECLARE_SIMPLE_TYPE(DamfState, DAMF)

/* Everything is protected by the BQL. */
struct DamfState {
    PCIDevice parent_obj;

    MemoryRegion regs;          /* BAR0 */
    MemoryRegion local_bar;     /* BAR2: local memory above what answers ~0 */
    MemoryRegion local;
    MemoryRegion local_gone;

    /* properties; those of the timing model lie in config */
    uint16_t queues;
    uint16_t contexts;
    uint16_t vectors;           /* 0: one a queue and one for admin */
    uint32_t threads;
    uint64_t local_size;
    struct damf_core_config config;

    struct damf_core *core;
    struct damf_par *pool;

    QemuThread engine;
    QemuCond engine_kick;       /* there may be work, or a reason to stop */
    QemuCond engine_ended;
    bool engine_quit;
    bool engine_alive;
    bool vm_running;
    VMChangeStateEntry *vm_state;

    bool removed;               /* pulled out of its slot without notice */
};

/* damf-engine.c */
extern const struct damf_host_ops damf_host_ops;
void damf_engine_start(DamfState *s);
/* Lets go of the BQL while it waits for the thread to end. */
void damf_engine_stop(DamfState *s);

/* damf-removal.c */
void damf_removal_class_init(ObjectClass *klass);

#endif /* HW_DAMF_H */
