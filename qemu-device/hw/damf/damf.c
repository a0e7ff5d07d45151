/*
 * DAMF accelerator: PCI Express device
 *
 * Bus citizenship alone: capabilities, BARs, reset, properties. What the
 * device does is in core/, which knows nothing of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "kernels/damf_kernels.h"
#include "kernels/par_pool.h"
#include "uapi/damf_hw.h"
#include "damf.h"
#include "trace.h"

#define DAMF_MAX_QUEUES     1024
#define DAMF_MAX_CONTEXTS   4096
#define DAMF_MAX_VECTORS    2048
#define DAMF_MAX_THREADS    256

#define DAMF_CAP_PM         0x60
#define DAMF_CAP_EXPRESS    0x80
#define DAMF_CAP_AER        0x100

static uint64_t damf_mmio_read(void *opaque, hwaddr addr, unsigned size)
{
    DamfState *s = opaque;
    uint64_t val = ~0ULL;

    if (!s->removed && size >= 4) {
        val = damf_core_read(s->core, addr, size);
    }
    trace_damf_mmio_read(addr, size, val);
    return val;
}

static void damf_mmio_write(void *opaque, hwaddr addr, uint64_t val,
                            unsigned size)
{
    DamfState *s = opaque;

    trace_damf_mmio_write(addr, size, val);
    if (!s->removed && size >= 4) {
        damf_core_write(s->core, addr, val, size);
    }
}

/* Every access gets here: the specification has an answer for all of them. */
static const MemoryRegionOps damf_mmio_ops = {
    .read = damf_mmio_read,
    .write = damf_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static uint64_t damf_gone_read(void *opaque, hwaddr addr, unsigned size)
{
    return ~0ULL;
}

static void damf_gone_write(void *opaque, hwaddr addr, uint64_t val,
                            unsigned size)
{
}

/* What lies under local memory, seen once the device has been removed. */
static const MemoryRegionOps damf_gone_ops = {
    .read = damf_gone_read,
    .write = damf_gone_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static uint32_t damf_config_read(PCIDevice *dev, uint32_t addr, int len)
{
    if (DAMF(dev)->removed) {
        return ~0U;
    }
    return pci_default_read_config(dev, addr, len);
}

static void damf_config_write(PCIDevice *dev, uint32_t addr, uint32_t val,
                              int len)
{
    if (DAMF(dev)->removed) {
        return;
    }
    pci_default_write_config(dev, addr, val, len);
    pcie_cap_flr_write_config(dev, addr, val, len);
    pcie_aer_write_config(dev, addr, val, len);
}

static bool damf_check_properties(DamfState *s, Error **errp)
{
    if (!s->queues || s->queues > DAMF_MAX_QUEUES) {
        error_setg(errp, "queues is %u, it must be 1 to %u", s->queues,
                   DAMF_MAX_QUEUES);
        return false;
    }
    if (!s->contexts || s->contexts > DAMF_MAX_CONTEXTS) {
        error_setg(errp, "contexts is %u, it must be 1 to %u", s->contexts,
                   DAMF_MAX_CONTEXTS);
        return false;
    }
    if (s->vectors > DAMF_MAX_VECTORS) {
        error_setg(errp, "vectors is %u, it must be 1 to %u, or 0 for one a "
                   "queue and one for admin", s->vectors, DAMF_MAX_VECTORS);
        return false;
    }
    if (!s->threads || s->threads > DAMF_MAX_THREADS) {
        error_setg(errp, "threads is %u, it must be 1 to %u", s->threads,
                   DAMF_MAX_THREADS);
        return false;
    }
    if (s->local_size &&
        (!is_power_of_2(s->local_size) || s->local_size < 2 * MiB)) {
        error_setg(errp, "local-mem is %" PRIu64 " bytes, it must be a power "
                   "of two of at least 2M, or 0", s->local_size);
        return false;
    }
    if (!pci_bus_is_express(pci_get_bus(PCI_DEVICE(s)))) {
        error_setg(errp, "the accelerator needs a PCI Express bus: "
                   "use a q35 machine and a pcie-root-port");
        return false;
    }
    return true;
}

static bool damf_init_local(DamfState *s, Error **errp)
{
    Object *obj = OBJECT(s);

    if (!s->local_size) {
        return true;
    }
    if (!memory_region_init_ram(&s->local, obj, "damf-local", s->local_size,
                                errp)) {
        return false;
    }
    memory_region_init(&s->local_bar, obj, "damf-local-bar", s->local_size);
    memory_region_init_io(&s->local_gone, obj, &damf_gone_ops, s,
                          "damf-local-gone", s->local_size);
    memory_region_add_subregion_overlap(&s->local_bar, 0, &s->local_gone, 0);
    memory_region_add_subregion_overlap(&s->local_bar, 0, &s->local, 1);
    return true;
}

/* A subregion holds a reference to its owner, here the device itself. */
static void damf_exit_local(DamfState *s)
{
    if (s->local_size) {
        memory_region_del_subregion(&s->local_bar, &s->local);
        memory_region_del_subregion(&s->local_bar, &s->local_gone);
    }
}

static bool damf_init_core(DamfState *s, Error **errp)
{
    char err[256] = "";

    s->pool = damf_pool_new(s->threads);
    if (!s->pool) {
        error_setg(errp, "cannot start %u engine threads", s->threads);
        return false;
    }
    if (!s->vectors) {
        s->vectors = s->queues + 1;
    }
    s->config.max_queues = s->queues;
    s->config.max_contexts = s->contexts;
    s->config.num_vectors = s->vectors;
    s->config.local_size = s->local_size;
    s->config.local = s->local_size ? memory_region_get_ram_ptr(&s->local)
                                    : NULL;
    s->config.par = s->pool;
    s->core = damf_core_new(&s->config, &damf_host_ops, s, err, sizeof(err));
    if (!s->core) {
        error_setg(errp, "%s", err);
        damf_pool_free(s->pool);
        return false;
    }
    return true;
}

static bool damf_init_pci(DamfState *s, Error **errp)
{
    PCIDevice *dev = PCI_DEVICE(s);

    if (pci_pm_init(dev, DAMF_CAP_PM, errp) < 0) {
        return false;
    }
    pci_set_word(dev->config + DAMF_CAP_PM + PCI_PM_PMC, PCI_PM_CAP_VER_1_2);
    pci_set_word(dev->config + DAMF_CAP_PM + PCI_PM_CTRL,
                 PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(dev->wmask + DAMF_CAP_PM + PCI_PM_CTRL,
                 PCI_PM_CTRL_STATE_MASK);

    if (pcie_endpoint_cap_init(dev, DAMF_CAP_EXPRESS) < 0) {
        error_setg(errp, "cannot add the PCI Express capability");
        return false;
    }
    pcie_cap_flr_init(dev);
    pcie_cap_deverr_init(dev);
    if (pcie_aer_init(dev, PCI_ERR_VER, DAMF_CAP_AER, PCI_ERR_SIZEOF,
                      errp) < 0) {
        pcie_cap_exit(dev);
        return false;
    }
    if (msix_init_exclusive_bar(dev, s->vectors, DAMF_BAR_MSIX, errp) < 0) {
        pcie_aer_exit(dev);
        pcie_cap_exit(dev);
        return false;
    }
    for (unsigned int i = 0; i < s->vectors; i++) {
        msix_vector_use(dev, i);
    }
    return true;
}

static void damf_register_bars(DamfState *s)
{
    PCIDevice *dev = PCI_DEVICE(s);

    memory_region_init_io(&s->regs, OBJECT(s), &damf_mmio_ops, s, "damf-regs",
                          damf_core_bar_size(&s->config));
    pci_register_bar(dev, DAMF_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->regs);
    if (s->local_size) {
        pci_register_bar(dev, DAMF_BAR_LOCAL,
                         PCI_BASE_ADDRESS_SPACE_MEMORY |
                         PCI_BASE_ADDRESS_MEM_TYPE_64 |
                         PCI_BASE_ADDRESS_MEM_PREFETCH, &s->local_bar);
    }
}

static void damf_realize(PCIDevice *dev, Error **errp)
{
    DamfState *s = DAMF(dev);

    if (!damf_check_properties(s, errp) || !damf_init_local(s, errp)) {
        return;
    }
    if (!damf_init_core(s, errp)) {
        damf_exit_local(s);
        return;
    }
    if (!damf_init_pci(s, errp)) {
        damf_core_free(s->core);
        damf_pool_free(s->pool);
        damf_exit_local(s);
        return;
    }
    damf_register_bars(s);
    damf_engine_start(s);
}

static void damf_exit(PCIDevice *dev)
{
    DamfState *s = DAMF(dev);

    damf_engine_stop(s);
    damf_core_free(s->core);
    damf_pool_free(s->pool);
    msix_unuse_all_vectors(dev);
    msix_uninit_exclusive_bar(dev);
    pcie_aer_exit(dev);
    pcie_cap_exit(dev);
    damf_exit_local(s);
}

/*
 * Does not wait: a job on the engine works on private copies and is dropped
 * when it comes to commit. The bit of a function level reset is still set
 * when one is under way.
 */
static void damf_reset_hold(Object *obj, ResetType type)
{
    DamfState *s = DAMF(obj);
    PCIDevice *dev = PCI_DEVICE(obj);
    uint16_t devctl = pci_get_word(dev->config + dev->exp.exp_cap +
                                   PCI_EXP_DEVCTL);
    bool flr = devctl & PCI_EXP_DEVCTL_BCR_FLR;

    trace_damf_reset(flr);
    damf_core_reset(s->core, flr);
}

static const VMStateDescription damf_vmstate = {
    .name = TYPE_DAMF,
    .unmigratable = 1,
};

static const Property damf_properties[] = {
    DEFINE_PROP_UINT16("queues", DamfState, queues, 64),
    DEFINE_PROP_UINT16("contexts", DamfState, contexts, 128),
    DEFINE_PROP_UINT16("vectors", DamfState, vectors, 0),
    DEFINE_PROP_UINT32("threads", DamfState, threads, 2),
    DEFINE_PROP_SIZE("local-mem", DamfState, local_size, 256 * MiB),
    DEFINE_PROP_UNSIGNED_NODEFAULT("clock-hz", DamfState, config.clock_hz,
                                   qdev_prop_uint64, uint64_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("macs-per-cycle", DamfState,
                                   config.macs_per_cycle,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("bytes-per-cycle", DamfState,
                                   config.bytes_per_cycle,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("scratchpad", DamfState,
                                   config.scratchpad,
                                   qdev_prop_size, uint64_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-mac-fj", DamfState,
                                   config.energy_mac,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-int8-fj", DamfState,
                                   config.energy_int8,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-shift-fj", DamfState,
                                   config.energy_shift,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-exp-fj", DamfState,
                                   config.energy_exp,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-div-fj", DamfState,
                                   config.energy_div,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-scratch-fj", DamfState,
                                   config.energy_scratch,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_UNSIGNED_NODEFAULT("energy-memory-fj", DamfState,
                                   config.energy_memory,
                                   qdev_prop_uint32, uint32_t),
};

static void damf_instance_init(Object *obj)
{
    damf_core_config_init(&DAMF(obj)->config);
}

static void damf_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    pc->realize = damf_realize;
    pc->exit = damf_exit;
    pc->config_read = damf_config_read;
    pc->config_write = damf_config_write;
    pc->vendor_id = DAMF_PCI_VENDOR_ID;
    pc->device_id = DAMF_PCI_DEVICE_ID;
    pc->revision = 1;
    pc->class_id = DAMF_PCI_CLASS >> 8;

    rc->phases.hold = damf_reset_hold;

    dc->desc = "DAMF transformer accelerator";
    dc->vmsd = &damf_vmstate;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, damf_properties);
    damf_removal_class_init(klass);
}

static const TypeInfo damf_info = {
    .name = TYPE_DAMF,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(DamfState),
    .instance_init = damf_instance_init,
    .class_init = damf_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { }
    },
};

static void damf_register_types(void)
{
    type_register_static(&damf_info);
}

type_init(damf_register_types)
