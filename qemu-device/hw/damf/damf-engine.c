/*
 * DAMF accelerator: the engine thread, and what the core asks of its host
 *
 * The thread fetches, checks and commits with the BQL held, since DMA may
 * end in code that needs it (a vIOMMU raising its fault interrupt), and
 * computes without it on memory that no guest can unmap. While the VM is
 * stopped guest memory must not change: a finished job is then kept back
 * until the VM runs again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "hw/pci/msix.h"
#include "hw/qdev-core.h"
#include "system/runstate.h"
#include "damf.h"
#include "trace.h"

static int damf_dma_read(void *opaque, uint64_t addr, void *buf, uint64_t len)
{
    DamfState *s = opaque;

    if (s->removed ||
        pci_dma_read(PCI_DEVICE(s), addr, buf, len) != MEMTX_OK) {
        trace_damf_err_dma("read", addr, len);
        return -1;
    }
    return 0;
}

static int damf_dma_write(void *opaque, uint64_t addr, const void *buf,
                          uint64_t len)
{
    DamfState *s = opaque;

    if (s->removed ||
        pci_dma_write(PCI_DEVICE(s), addr, buf, len) != MEMTX_OK) {
        trace_damf_err_dma("write", addr, len);
        return -1;
    }
    return 0;
}

static void damf_barrier(void *opaque)
{
    /*
     * Entries before their index, and the index before the guest's event
     * index is read: pairs with the barriers of the driver.
     */
    smp_mb();
}

static void damf_irq(void *opaque, unsigned int vector)
{
    DamfState *s = opaque;

    if (vector >= s->vectors) {
        trace_damf_err_irq_vector(vector, s->vectors);
        return;
    }
    if (s->removed) {
        return;
    }
    trace_damf_irq(vector);
    msix_notify(PCI_DEVICE(s), vector);
}

static uint64_t damf_now_ns(void *opaque)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static void damf_kick(void *opaque)
{
    DamfState *s = opaque;

    trace_damf_kick();
    qemu_cond_signal(&s->engine_kick);
}

static void damf_guest_error(void *opaque, const char *msg)
{
    trace_damf_ub_guest_error(msg);
    qemu_log_mask(LOG_GUEST_ERROR, "damf: %s\n", msg);
}

const struct damf_host_ops damf_host_ops = {
    .dma_read = damf_dma_read,
    .dma_write = damf_dma_write,
    .barrier = damf_barrier,
    .irq = damf_irq,
    .now_ns = damf_now_ns,
    .kick = damf_kick,
    .guest_error = damf_guest_error,
};

/*
 * The core must not be entered from within itself: a guest may point a ring,
 * or the address of an interrupt, at the device's own BAR. As in an MMIO
 * callback, the memory core refuses such accesses while the guard is set.
 */
static bool damf_engine_next(DamfState *s)
{
    MemReentrancyGuard *guard = &DEVICE(s)->mem_reentrancy_guard;
    bool found;

    guard->engaged_in_io = true;
    found = damf_core_next(s->core);
    guard->engaged_in_io = false;
    return found;
}

static void damf_engine_commit(DamfState *s)
{
    MemReentrancyGuard *guard = &DEVICE(s)->mem_reentrancy_guard;

    guard->engaged_in_io = true;
    damf_core_commit(s->core);
    guard->engaged_in_io = false;
}

static void damf_engine_run(DamfState *s)
{
    trace_damf_run_begin();
    bql_unlock();
    damf_core_run(s->core);
    bql_lock();
    trace_damf_run_end();

    if (!s->vm_running && !s->engine_quit) {
        trace_damf_parked();
    }
    while (!s->vm_running && !s->engine_quit) {
        qemu_cond_wait_bql(&s->engine_kick);
    }
    damf_engine_commit(s);
}

static void *damf_engine_thread(void *opaque)
{
    DamfState *s = opaque;

    rcu_register_thread();
    bql_lock();
    while (!s->engine_quit) {
        if (s->vm_running && damf_engine_next(s)) {
            damf_engine_run(s);
        } else {
            qemu_cond_wait_bql(&s->engine_kick);
        }
    }
    s->engine_alive = false;
    qemu_cond_signal(&s->engine_ended);
    bql_unlock();
    rcu_unregister_thread();
    return NULL;
}

static void damf_vm_state_change(void *opaque, bool running, RunState state)
{
    DamfState *s = opaque;

    trace_damf_vm_state(running);
    s->vm_running = running;
    qemu_cond_signal(&s->engine_kick);
}

void damf_engine_start(DamfState *s)
{
    qemu_cond_init(&s->engine_kick);
    qemu_cond_init(&s->engine_ended);
    s->engine_quit = false;
    s->engine_alive = true;
    s->vm_running = runstate_is_running();
    s->vm_state = qdev_add_vm_change_state_handler(DEVICE(s),
                                                   damf_vm_state_change, s);
    qemu_thread_create(&s->engine, "damf-engine", damf_engine_thread, s,
                       QEMU_THREAD_JOINABLE);
}

void damf_engine_stop(DamfState *s)
{
    qemu_del_vm_change_state_handler(s->vm_state);
    /* What runs gives up at its next tile, and its results are dropped. */
    damf_core_reset(s->core, false);
    s->engine_quit = true;
    qemu_cond_signal(&s->engine_kick);
    while (s->engine_alive) {
        qemu_cond_wait_bql(&s->engine_ended);
    }
    qemu_thread_join(&s->engine);
    qemu_cond_destroy(&s->engine_kick);
    qemu_cond_destroy(&s->engine_ended);
}
