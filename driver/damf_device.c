// SPDX-License-Identifier: GPL-2.0-only
/* The PCI function: probing, interrupts, enabling, resetting, removing. */
#include <linux/dma-mapping.h>
#include <linux/iopoll.h>
#include <linux/module.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_gem.h"
#include "damf_mmu.h"
#include "damf_queue.h"

#define DAMF_HW_TIMEOUT_US	(5 * USEC_PER_SEC)
#define DAMF_HW_POLL_US		200

unsigned int damf_timeout_ms = 10000;
module_param_named(timeout_ms, damf_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms,
		 "Time without progress after which a list is stopped, in ms (default 10000)");

/* ---- Enable and reset ------------------------------------------------------- */

/**
 * damf_hw_reset() - reset the device
 * @damf: device
 *
 * Return: 0 or a negative errno; -ENODEV if it isn't there.
 */
int damf_hw_reset(struct damf_device *damf)
{
	u32 ctrl;
	int ret;

	damf_write(damf, DAMF_REG_CTRL, DAMF_CTRL_RESET);
	/* The first read also has it stop accessing memory. */
	ret = read_poll_timeout(damf_read, ctrl, ctrl == U32_MAX || !(ctrl & DAMF_CTRL_RESET),
				DAMF_HW_POLL_US, DAMF_HW_TIMEOUT_US, false, damf, DAMF_REG_CTRL);
	return ctrl == U32_MAX ? -ENODEV : ret;
}

/**
 * damf_hw_enable() - enable the device, which has been reset
 * @damf: device
 *
 * Return: 0 or a negative errno.
 */
int damf_hw_enable(struct damf_device *damf)
{
	u32 status;
	int ret;

	lo_hi_writeq(damf->caps.features, damf->regs + DAMF_REG_FEATURES_ACCEPTED);
	damf_admin_start(damf);
	damf_write(damf, DAMF_REG_CTRL, DAMF_CTRL_ENABLE);
	ret = read_poll_timeout(damf_read, status, status, DAMF_HW_POLL_US, DAMF_HW_TIMEOUT_US,
				false, damf, DAMF_REG_STATUS);
	if (ret)
		return ret;
	if (status == U32_MAX)
		return -ENODEV;
	return status & DAMF_STATUS_READY ? 0 : -EIO;
}

/**
 * damf_hw_off() - see that the device accesses memory no more
 * @damf: device, which may be gone
 */
void damf_hw_off(struct damf_device *damf)
{
	damf_write(damf, DAMF_REG_CTRL, DAMF_CTRL_RESET);
	damf_read(damf, DAMF_REG_CTRL);
	pci_clear_master(damf->pdev);
}

/* ---- Interrupts -------------------------------------------------------------- */

static irqreturn_t damf_irq(int irq, void *data)
{
	struct damf_vector *vector = data;
	struct damf_device *damf = vector->damf;
	struct damf_queue *q;

	if (!vector->index) {
		damf_admin_poll(damf);
		queue_work(damf->wq, &damf->health_work);
	}
	spin_lock(&vector->lock);
	if (!list_empty(&vector->queues))
		atomic64_inc(&damf->stats.interrupts);
	list_for_each_entry(q, &vector->queues, vector_link)
		damf_ring_poll(q);
	spin_unlock(&vector->lock);
	return IRQ_HANDLED;
}

static void damf_irqs_free(struct damf_device *damf)
{
	unsigned int i;

	for (i = 0; i < damf->num_vectors; i++)
		if (damf->vectors[i].irq)
			free_irq(damf->vectors[i].irq, &damf->vectors[i]);
}

static int damf_irqs_request(struct damf_device *damf)
{
	struct damf_vector *vector;
	unsigned int i;
	int ret;

	for (i = 0; i < damf->num_vectors; i++) {
		vector = &damf->vectors[i];
		ret = pci_request_irq(damf->pdev, i, damf_irq, NULL, vector, "damf-%s:%u",
				      pci_name(damf->pdev), i);
		if (ret)
			return ret;
		vector->irq = pci_irq_vector(damf->pdev, i);
	}
	return 0;
}

static int damf_irqs_init(struct damf_device *damf)
{
	unsigned int wanted = min(damf->caps.num_vectors, damf->caps.max_queues + 1), i;
	int n;

	n = pci_alloc_irq_vectors(damf->pdev, 1, wanted, PCI_IRQ_MSIX);
	if (n < 0)
		return n;
	damf->vectors = drmm_kcalloc(&damf->drm, n, sizeof(*damf->vectors), GFP_KERNEL);
	if (!damf->vectors)
		return -ENOMEM;
	damf->num_vectors = n;
	for (i = 0; i < n; i++) {
		damf->vectors[i].damf = damf;
		damf->vectors[i].index = i;
		spin_lock_init(&damf->vectors[i].lock);
		INIT_LIST_HEAD(&damf->vectors[i].queues);
	}
	return 0;
}

/* ---- Probe ------------------------------------------------------------------- */

/* The modelled machine: registers that came with version 1.1. */
static void damf_read_model(struct damf_device *damf)
{
	struct damf_caps *caps = &damf->caps;

	caps->numerics = damf_read(damf, DAMF_REG_NUMERICS);
	caps->scratchpad = damf_read64(damf, DAMF_REG_SCRATCHPAD);
	caps->energy_mac = damf_read(damf, DAMF_REG_ENERGY_MAC);
	caps->energy_int8 = damf_read(damf, DAMF_REG_ENERGY_INT8);
	caps->energy_shift = damf_read(damf, DAMF_REG_ENERGY_SHIFT);
	caps->energy_exp = damf_read(damf, DAMF_REG_ENERGY_EXP);
	caps->energy_div = damf_read(damf, DAMF_REG_ENERGY_DIV);
	caps->energy_scratch = damf_read(damf, DAMF_REG_ENERGY_SCRATCH);
	caps->energy_memory = damf_read(damf, DAMF_REG_ENERGY_MEMORY);
}

static void damf_read_caps(struct damf_device *damf)
{
	struct damf_caps *caps = &damf->caps;

	caps->version = damf_read(damf, DAMF_REG_VERSION);
	caps->features = damf_read64(damf, DAMF_REG_FEATURES) & DAMF_FEATURES_KNOWN;
	caps->opcodes = damf_read64(damf, DAMF_REG_OPCODES);
	caps->types = damf_read64(damf, DAMF_REG_TYPES);
	caps->modes = damf_read64(damf, DAMF_REG_MODES);
	caps->max_queues = damf_read(damf, DAMF_REG_MAX_QUEUES);
	caps->max_contexts = damf_read(damf, DAMF_REG_MAX_CONTEXTS);
	caps->max_jobs = damf_read(damf, DAMF_REG_MAX_JOBS);
	caps->max_rows = damf_read(damf, DAMF_REG_MAX_ROWS);
	caps->max_seqs = damf_read(damf, DAMF_REG_MAX_SEQS);
	caps->max_width = damf_read(damf, DAMF_REG_MAX_WIDTH);
	caps->max_heads = damf_read(damf, DAMF_REG_MAX_HEADS);
	caps->max_length = damf_read(damf, DAMF_REG_MAX_LENGTH);
	caps->num_vectors = damf_read(damf, DAMF_REG_NUM_VECTORS);
	caps->db_offset = damf_read(damf, DAMF_REG_DB_OFFSET);
	caps->max_tensor = damf_read64(damf, DAMF_REG_MAX_TENSOR);
	caps->clock_hz = damf_read64(damf, DAMF_REG_CLOCK_HZ);
	caps->local_size = damf_read64(damf, DAMF_REG_LOCAL_SIZE);
	caps->macs_per_cycle = damf_read(damf, DAMF_REG_MACS_PER_CYCLE);
	caps->bytes_per_cycle = damf_read(damf, DAMF_REG_BYTES_PER_CYCLE);
	if (caps->version >= DAMF_VERSION(1, 1))
		damf_read_model(damf);
}

/* Even what a good device can't say is looked at: it decides what is accessed. */
static int damf_check_caps(struct damf_device *damf)
{
	u64 end, bar = pci_resource_len(damf->pdev, DAMF_BAR_REGS);
	u32 log2 = damf_read(damf, DAMF_REG_MAX_RING_LOG2);
	struct damf_caps *caps = &damf->caps;

	if (DAMF_VERSION_MAJOR(caps->version) != DAMF_VERSION_MAJOR(DAMF_HW_VERSION)) {
		drm_err(&damf->drm, "hardware version %u.%u is not known\n",
			DAMF_VERSION_MAJOR(caps->version), DAMF_VERSION_MINOR(caps->version));
		return -ENODEV;
	}
	end = caps->db_offset + (caps->max_queues + 1ull) * DAMF_DB_PAGE_SIZE;
	if (!caps->max_queues || caps->max_queues > U16_MAX || !caps->max_contexts ||
	    !caps->max_jobs || !caps->num_vectors || caps->db_offset < DAMF_REGS_END || end > bar ||
	    damf_read(damf, DAMF_REG_VA_BITS) != DAMF_VA_BITS ||
	    log2 < DAMF_RING_MIN_LOG2 || log2 > DAMF_RING_MAX_LOG2) {
		drm_err(&damf->drm, "the device's limits make no sense\n");
		return -EINVAL;
	}
	caps->max_contexts = min_t(u32, caps->max_contexts, U16_MAX);
	caps->num_vectors = min_t(u32, caps->num_vectors, U16_MAX);
	caps->max_entries = min(1u << log2, DAMF_RESULTS);
	return 0;
}

static int damf_map_regs(struct damf_device *damf)
{
	struct pci_dev *pdev = damf->pdev;
	u32 magic;

	if (pci_resource_len(pdev, DAMF_BAR_REGS) < DAMF_REGS_END)
		return -ENODEV;
	damf->regs = pcim_iomap_region(pdev, DAMF_BAR_REGS, "damf");
	if (IS_ERR(damf->regs))
		return PTR_ERR(damf->regs);
	magic = damf_read(damf, DAMF_REG_MAGIC);
	if (magic == DAMF_MAGIC)
		return 0;
	if (magic == swab32(DAMF_MAGIC))
		drm_err(&damf->drm, "registers have the wrong byte order\n");
	else
		drm_err(&damf->drm, "this is no DAMF accelerator (magic %#x)\n", magic);
	return -ENODEV;
}

static void damf_destroy_wq(struct drm_device *dev, void *wq)
{
	destroy_workqueue(wq);
}

static int damf_init_soft(struct damf_device *damf)
{
	mutex_init(&damf->local_lock);
	mutex_init(&damf->queue_lock);
	mutex_init(&damf->vm_lock);
	mutex_init(&damf->bo_lock);
	xa_init_flags(&damf->queues, XA_FLAGS_ALLOC1);
	ida_init(&damf->contexts);
	INIT_LIST_HEAD(&damf->vms);
	INIT_LIST_HEAD(&damf->bos);
	damf_recover_init(damf);
	damf->wq = alloc_ordered_workqueue("damf", WQ_MEM_RECLAIM);
	if (!damf->wq)
		return -ENOMEM;
	return drmm_add_action_or_reset(&damf->drm, damf_destroy_wq, damf->wq);
}

static int damf_init_pci(struct damf_device *damf)
{
	struct pci_dev *pdev = damf->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = damf_map_regs(damf);
	if (ret)
		return ret;
	damf_read_caps(damf);
	ret = damf_check_caps(damf);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(52));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	pci_set_master(pdev);
	ret = damf_irqs_init(damf);
	return ret ?: damf_local_init(damf);
}

static int damf_start(struct damf_device *damf)
{
	int ret;

	ret = damf_hw_reset(damf);
	if (ret)
		return ret;
	ret = damf_admin_alloc(damf);
	if (ret)
		return ret;
	ret = damf_irqs_request(damf);
	if (!ret)
		ret = damf_hw_enable(damf);
	if (!ret) {
		damf_debugfs_init(damf);
		ret = drm_dev_register(&damf->drm, 0);
	}
	if (ret) {
		damf->lost = true;
		damf_hw_off(damf);
		damf_irqs_free(damf);
		flush_workqueue(damf->wq);
		damf_admin_free(damf);
	}
	return ret;
}

static int damf_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct damf_device *damf;
	int ret;

	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		return -ENODEV;
	damf = devm_drm_dev_alloc(&pdev->dev, &damf_drm_driver, struct damf_device, drm);
	if (IS_ERR(damf))
		return PTR_ERR(damf);
	damf->pdev = pdev;
	pci_set_drvdata(pdev, damf);
	ret = damf_init_soft(damf);
	if (!ret)
		ret = damf_init_pci(damf);
	if (!ret)
		ret = damf_start(damf);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "the accelerator could not be started\n");
	drm_info(&damf->drm, "hardware version %u.%u, %u queues, %llu MiB of local memory\n",
		 DAMF_VERSION_MAJOR(damf->caps.version), DAMF_VERSION_MINOR(damf->caps.version),
		 damf->caps.max_queues, damf->caps.local_size >> 20);
	return 0;
}

/* ---- Remove ------------------------------------------------------------------ */

/*
 * Files may stay open. What they hold stays, too, but for what is the device's:
 * when this returns nothing is mapped for it and no register is accessed.
 */
static void damf_pci_remove(struct pci_dev *pdev)
{
	struct damf_device *damf = pci_get_drvdata(pdev);

	/* First who waits for the device is let go, so that unplugging needn't wait. */
	damf_lose(damf);
	drm_dev_unplug(&damf->drm);
	damf_irqs_free(damf);
	flush_workqueue(damf->wq);
	damf_queues_unbind(damf);
	damf_vms_unbind(damf);
	damf_bos_unmap(damf);
	damf_admin_free(damf);
}

static void damf_pci_shutdown(struct pci_dev *pdev)
{
	damf_lose(pci_get_drvdata(pdev));
}

static const struct pci_device_id damf_pci_ids[] = {
	{ PCI_DEVICE(DAMF_PCI_VENDOR_ID, DAMF_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, damf_pci_ids);

struct pci_driver damf_pci_driver = {
	.name = "damf",
	.id_table = damf_pci_ids,
	.probe = damf_pci_probe,
	.remove = damf_pci_remove,
	.shutdown = damf_pci_shutdown,
};
