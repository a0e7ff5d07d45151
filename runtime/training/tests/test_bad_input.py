# SPDX-License-Identifier: MIT
"""Bad input to the commands: one line that names the thing and the remedy, and nothing is lost."""

from __future__ import annotations

import json
import resource
import unittest
from pathlib import Path

from safetensors.torch import load_file, save_file

from damftrain import text
from damftrain.errors import TrainError
from damftrain.glue import read_task
from test_commands import CommandTest
from tiny import make_teacher, make_tokenizer


class BadInputTest(CommandTest):
    def setUp(self) -> None:
        super().setUp()
        self.text = self.place / "text.npz"
        text.pack(self.ids).save(self.text)
        self.output = self.place / "out"

    def distill(self, *more: str, teacher: Path | None = None) -> tuple[int, str, str]:
        arguments = ["distill", "--teacher", str(teacher or self.teacher), "--text", str(self.text)]
        arguments += ["--tokens", "128", "--held-out", "10", "--device", "cpu", "--quiet"]
        return self.call(*arguments, "--output", str(self.output), "--steps", "6", *more)

    def refused(self, words: str, found: tuple[int, str, str]) -> None:
        code, out, err = found
        self.assertEqual(code, 3, err)
        self.assertEqual(out, "")
        self.assertIn(words, err)
        self.assertEqual(err.count("\n"), 1, err)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.output.iterdir()}

    def test_a_teacher_that_is_none(self) -> None:
        config = self.teacher / "config.json"
        weights = self.teacher / "model.safetensors"
        whole, tensors = json.loads(config.read_text()), load_file(weights)
        for change, words in (
            ({"model_type": "roberta"}, "roberta with gelu: only BERT encoders"),
            ({"hidden_act": "relu"}, "bert with relu: only BERT encoders"),
            ({"position_embedding_type": "relative_key"}, "position_embedding_type must be absolute"),
            ({"num_hidden_layers": 3}, "lacks the tensor that is layers.2."),
            ({"intermediate_size": 50}, "config.json says [50, 24]"),
        ):
            config.write_text(json.dumps({**whole, **change}))
            self.refused(words, self.distill())
        config.write_text("{}}")
        self.refused("config.json", self.distill())
        config.write_text(json.dumps(whole))
        save_file({k: v for k, v in tensors.items() if "key.bias" not in k}, weights)
        self.refused("lacks the tensor that is layers.0.attention", self.distill())
        weights.write_bytes(weights.read_bytes()[:500])
        self.refused("model.safetensors", self.distill())
        self.refused("config.json: no such file", self.distill(teacher=self.place / "nowhere"))
        self.assertFalse(self.output.exists())

    def test_text_that_is_none(self) -> None:
        lines, packed = self.place / "lines", self.place / "packed.npz"
        arguments = ["pack", "--teacher", str(self.teacher), "--text", str(lines), "--output", str(packed)]
        self.refused("lines: No such file", self.call(*arguments))
        lines.write_bytes(b"\n \n")
        self.refused("holds no text; give a file with a sentence a line", self.call(*arguments))
        lines.write_bytes(b"one\ntw\xffo\n")
        self.refused(":2: byte 3 isn't UTF-8; convert it first", self.call(*arguments))
        self.assertFalse(packed.exists())
        self.text.write_bytes(b"no text")
        self.refused("not a file of packed text", self.distill())
        text.pack(self.ids[:9]).save(self.text)
        self.refused("9 texts are too few", self.distill())

    def test_tables_that_are_none(self) -> None:
        table = self.place / "table.tsv"
        arguments = ["finetune", "--teacher", str(self.teacher), "--train", str(table), "--dev", str(table)]
        arguments += ["--text-column", "body", "--label-column", "kind", "--output", str(self.output)]
        for content, words in (
            (b"body\tsort\na b\t1\n", "has no column kind (columns: body, sort)"),
            (b"body\tkind\n", "holds no examples below its line of names"),
            (b"body\tkind\na b\n", ":2: has 1 columns, 2 are needed"),
            (b"body\tkind\na\xe9b\t1\n", "not UTF-8 at byte 11"),
        ):
            table.write_bytes(content)
            self.refused(words, self.call(*arguments, "--epochs", "1"))
        glue = self.place / "glue" / "SST-2"
        glue.mkdir(parents=True)
        arguments = ["pack-task", "--teacher", str(self.teacher), "--glue", str(glue.parent)]
        arguments += ["--task", "SST-2", "--output", str(self.output)]
        for content, words in (
            (b"sentence\tlabel\na b\t2\n", ":2: column 2 holds no label of 0, 1"),
            (b"sentence\na b\n", ":2: column 2 holds no label of 0, 1"),
            (b"sentence\tlabel\n", "train.tsv: holds no examples"),
        ):
            (glue / "train.tsv").write_bytes(content)
            self.refused(words, self.call(*arguments))
        self.assertFalse(self.output.exists())

    def test_a_checkpoint_of_something_else(self) -> None:
        self.assertEqual(self.distill("--variant", "fold")[0], 0)
        before = self.files()
        for more in (["--variant", "square"], ["--variant", "fold", "--seed", "1"]):
            self.refused("is of a run with other options; remove it to start anew", self.distill(*more))
        self.assertEqual(self.files(), before)
        (self.output / "checkpoint").write_bytes(b"no checkpoint")
        self.refused("not a checkpoint", self.distill("--variant", "fold"))

    def test_a_checkpoint_of_a_table_that_has_changed_since(self) -> None:
        arguments = ["finetune", "--teacher", str(self.teacher), "--text-column", "body"]
        arguments += ["--label-column", "kind", "--steps", "2", "--batch", "8", "--device", "cpu", "--quiet"]
        path = self.write_table("train.tsv")
        arguments += ["--train", str(path), "--dev", str(path), "--output", str(self.place / "changed")]
        self.assertEqual(self.call(*arguments)[0], 0)
        self.assertEqual(self.call(*arguments)[0], 0)  # what is finished stays
        path.write_text("\n".join(path.read_text().split("\n")[:-2]) + "\n")
        code, _, err = self.call(*arguments)
        self.assertEqual(code, 3)
        self.assertIn("is of a run with other options", err)

    def test_fewer_texts_than_a_batch(self) -> None:
        path = self.write_table("train.tsv")
        arguments = ["finetune", "--teacher", str(self.teacher), "--text-column", "body", "--steps", "2"]
        arguments += ["--label-column", "kind", "--batch", "4000", "--output", str(self.place / "none")]
        code, _, err = self.call(*arguments, "--train", str(path), "--dev", str(path))
        self.assertEqual(code, 3)
        self.assertIn("don't fill a batch of 4000 texts (--batch)", err)

    def test_qqp_as_distributed_or_a_part_of_it(self) -> None:
        place = self.place / "QQP"
        place.mkdir()
        names = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
        rows = [f"{n}\t1\t2\ta{n}\tb{n}\t{n % 2}" for n in range(3004)]
        (place / "train.tsv").write_text("\n".join([names, rows[0], "7\t1\t2\tcut", rows[1]]) + "\n")
        (place / "dev.tsv").write_text("\n".join([names, rows[2]]) + "\n")
        train, dev = read_task(self.place, "QQP")
        self.assertEqual(train.texts, [("a0", "b0"), ("a1", "b1")])
        self.assertEqual((dev.texts, dev.labels), ([("a2", "b2")], [0]))
        (place / "dev.tsv").write_text("\n".join([names, rows[2][:-1] + "2"]) + "\n")
        with self.assertRaisesRegex(TrainError, "dev.tsv:2: column 6 holds no label of 0, 1"):
            read_task(self.place, "QQP")
        (place / "subset.tsv").write_text("\n".join(["malformed", *rows]) + "\n")
        train, dev = read_task(self.place, "QQP")
        self.assertEqual((len(train), len(dev), dev.texts[0]), (4, 3000, ("a4", "b4")))

    def test_a_student_of_another_teacher(self) -> None:
        self.assertEqual(self.distill()[0], 0)
        other = self.place / "other"
        other.mkdir()
        make_teacher(other, layers=1)
        make_tokenizer(other)
        arguments = ["export", "--student", str(self.output), "--output", str(self.place / "exported")]
        self.refused("than its teacher", self.call(*arguments, "--teacher", str(other)))
        student = self.output / "student.safetensors"
        student.write_bytes(student.read_bytes()[:300])
        self.refused("student.safetensors", self.call(*arguments, "--teacher", str(self.teacher)))
        start = ["--start", str(self.place / "nowhere")]
        self.refused("nowhere/student.safetensors: no such file", self.distill(*start))
        self.assertFalse((self.place / "exported").exists())

    def test_a_full_disk(self) -> None:
        """What there is stays, and the same command goes on when there is room again."""
        self.assertEqual(self.distill()[0], 0)
        before = self.files()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            self.refused("cannot save: ", self.distill())
            self.refused("the one from before is kept", self.distill())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(self.files(), before)
        self.assertEqual(self.distill()[0], 0)


if __name__ == "__main__":
    unittest.main()
