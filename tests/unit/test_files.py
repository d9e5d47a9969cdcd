"""A replaced file has the old content or the new, whatever happens."""

from pathlib import Path

import pytest

from collector.files import replace, replacing


def test_a_replaced_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("old")
    left_over = tmp_path / "run.json.new"
    left_over.write_text("what a killed process wrote, and much longer")
    left_over.chmod(0o644)
    replace(path, "new", durable=True)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_content_and_takes_no_space(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    replace(path, b"old")

    def fill_the_disk() -> None:
        with replacing(path) as file:
            file.write(b"ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "position.json"
    steps: list[str] = []
    descriptors = Path("/proc/self/fd")
    monkeypatch.setattr("os.fsync", lambda number: steps.append(str((descriptors / str(number)).readlink())))
    monkeypatch.setattr(Path, "replace", lambda self, target: steps.append(f"{self} -> {target}"))
    replace(path, "new", durable=True)
    assert steps == [f"{path}.new", f"{path}.new -> {path}", str(tmp_path)]
