from pathlib import Path

from collector.instances import Instance, instances_of
from collector.settings.model import Settings
from collector.sources.exabgp.files import configuration_file, requests_pipe
from collector.sources.known import find_instances


def test_the_first_instance_has_the_names_of_a_single_one(data_dir: Path) -> None:
    first, second = Instance(data_dir), Instance(data_dir, 1)
    assert [path.name for path in (first.spool, configuration_file(first), requests_pipe(first))] == [
        "spool",
        "exabgp.conf",
        "requests",
    ]
    assert [path.name for path in (second.spool, configuration_file(second), requests_pipe(second))] == [
        "spool-1",
        "exabgp-1.conf",
        "requests-1",
    ]


def test_another_source_names_its_files(data_dir: Path) -> None:
    instances = Instance(data_dir, 0, "bmp"), Instance(data_dir, 1, "bmp")
    assert [(instance.label, instance.spool.name) for instance in instances] == [
        ("bmp", "spool-bmp"),
        ("bmp-1", "spool-bmp-1"),
    ]


def test_instances_are_the_configured_ones_and_those_with_a_spool(data_dir: Path) -> None:
    assert instances_of("exabgp", data_dir, 2) == [Instance(data_dir, 0), Instance(data_dir, 1)]
    for name in ("spool", "spool-10", "spool-2", "spool-0", "spool-x", "spool-3.old", "spool-bmp", "spool-bmp-4"):
        (data_dir / name).mkdir(parents=True)
    assert [instance.number for instance in instances_of("exabgp", data_dir, 1)] == [0, 2, 10]
    assert [instance.number for instance in instances_of("exabgp", data_dir, 4)] == [0, 1, 2, 3, 10]
    assert [instance.number for instance in instances_of("bmp", data_dir, 0)] == [0, 4]


def test_an_archive_without_a_spool_has_the_first_instance(data_dir: Path) -> None:
    assert find_instances(data_dir) == [Instance(data_dir)]
    settings = Settings.model_validate({"exabgp": {"processes": 2}})
    assert find_instances(data_dir, settings) == [Instance(data_dir, 0), Instance(data_dir, 1)]
