/*
 * DAMF accelerator: removal without notice
 *
 * "qom-set PATH removed true" does what pulling the card out of its slot
 * does: configuration space, registers and local memory read as ones, writes
 * go nowhere, DMA and interrupts stop. If the slot above does native hotplug,
 * it tells the guest that the card has gone; a guest under ACPI hotplug finds
 * out by reading ones. device_del takes the object away afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pcie_port.h"
#include "damf.h"
#include "trace.h"

/*
 * What a port does when a card leaves: presence and the link have changed.
 * QEMU's slots know only of presence, and with an attention button in the
 * slot, as these have, guests don't ask for that but for the link. So the
 * event of the link is made one that the guest can clear, and interrupts
 * being enabled at all counts as having asked for it.
 */
static bool damf_tell_slot(DamfState *s)
{
    PCIDevice *port = pci_bridge_get_device(pci_get_bus(PCI_DEVICE(s)));
    uint8_t *cap;

    if (!port || !object_dynamic_cast(OBJECT(port), TYPE_PCIE_SLOT)) {
        return false;
    }
    cap = port->config + port->exp.exp_cap;
    if (!(pci_get_long(cap + PCI_EXP_SLTCAP) & PCI_EXP_SLTCAP_HPC)) {
        return false;
    }
    pci_word_test_and_clear_mask(cap + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA);
    pci_word_test_and_clear_mask(cap + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
    pci_word_test_and_set_mask(port->w1cmask + port->exp.exp_cap +
                               PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_DLLSC);
    pci_word_test_and_set_mask(cap + PCI_EXP_SLTSTA,
                               PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    if (!(pci_get_word(cap + PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_HPIE)) {
        return false;
    }
    port->exp.hpev_notified = true;
    if (msix_enabled(port)) {
        msix_notify(port, pcie_cap_flags_get_vector(port));
    } else if (msi_enabled(port)) {
        msi_notify(port, pcie_cap_flags_get_vector(port));
    } else if (pci_intx(port) != -1) {
        pci_irq_assert(port);
    }
    return true;
}

static bool damf_get_removed(Object *obj, Error **errp)
{
    return DAMF(obj)->removed;
}

static void damf_set_removed(Object *obj, bool value, Error **errp)
{
    DamfState *s = DAMF(obj);

    if (!qdev_is_realized(DEVICE(obj))) {
        error_setg(errp, "the accelerator can be removed once it is plugged");
        return;
    }
    if (value == s->removed) {
        return;
    }
    if (!value) {
        error_setg(errp, "a removed accelerator does not come back: "
                   "use device_del, then device_add");
        return;
    }
    s->removed = true;
    damf_core_reset(s->core, true);
    if (s->local_size) {
        memory_region_set_enabled(&s->local, false);
    }
    trace_damf_removed(damf_tell_slot(s));
}

void damf_removal_class_init(ObjectClass *klass)
{
    object_class_property_add_bool(klass, "removed", damf_get_removed,
                                   damf_set_removed);
    object_class_property_set_description(klass, "removed",
        "Set to true to pull the accelerator out of its slot without notice");
}
