"""What a model's name means, and which file is chosen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmkit.errors import ModelFileError, ModelNotFound
from llmkit.models.catalog import EMBEDDED, parse_hub_name, resolve
from llmkit.models.choice import MLX_ORDER, choose_gguf, gguf_models, quantization, split_family
from llmkit.models.fetch import fetch
from tests.unit.gguf_files import small_model, write_split_model


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKIT_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.mark.parametrize("name", [EMBEDDED, "SmolLM2-135M-Instruct", "embedded", "Embedded", " embedded "])
def test_embedded_model_has_its_name_and_an_alias_in_any_case(name: str) -> None:
    spec = resolve(name)
    assert (spec.name, spec.kind, spec.formats, spec.licence) == (EMBEDDED, "embedded", ("gguf",), "apache-2.0")


def test_gguf_file_is_checked_and_described() -> None:
    path = small_model().write(Path("tiny-Q4_0.gguf")).absolute()
    for name in ("tiny-Q4_0.gguf", "./tiny-Q4_0.gguf", str(path), path, Path("tiny-Q4_0.gguf")):
        spec = resolve(name)
        assert (spec.name, spec.kind, spec.path) == ("tiny-Q4_0.gguf", "gguf", path)
        assert (spec.licence, spec.quantization, spec.formats) == ("apache-2.0", "Q4_0", ("gguf",))
        assert fetch(spec) == path


def test_any_part_means_the_whole_split_model() -> None:
    paths = write_split_model(Path())
    assert resolve(paths[1]).path == paths[0].absolute()
    assert fetch(resolve(paths[2])) == paths[0].absolute()


def test_damaged_file_is_no_unknown_name() -> None:
    Path("damaged.gguf").write_bytes(small_model().to_bytes()[:-200])
    with pytest.raises(ModelFileError, match="truncated"):
        resolve("damaged.gguf")


def test_file_that_went_away_is_named() -> None:
    spec = resolve(small_model().write(Path("tiny.gguf")))
    Path("tiny.gguf").unlink()
    with pytest.raises(ModelFileError, match="no longer there"):
        fetch(spec)


def test_file_in_the_models_folder_needs_no_path(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = small_model().write(tmp_path / "models" / "mine.gguf")
    assert resolve("mine.gguf").path == path
    assert resolve("mine").path == path


def mlx_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    return folder.absolute()


def test_folder_with_safetensors_is_an_mlx_model() -> None:
    folder = mlx_folder(Path("my-model"))
    spec = resolve("my-model")
    assert (spec.name, spec.kind, spec.formats, spec.path) == ("my-model", "folder", ("mlx",), folder)
    assert fetch(spec, engine_format="mlx") == folder == fetch(spec)
    with pytest.raises(ModelFileError, match=r'safetensors only.*engine="mlx"'):
        fetch(spec, engine_format="gguf")


def test_folder_with_gguf_files_offers_the_best(tmp_path: Path) -> None:
    folder = tmp_path / "ggufs"
    folder.mkdir()
    for name in ("m-F16.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m-F16.gguf"):
        small_model().write(folder / name)
    spec = resolve(folder)
    assert (spec.kind, spec.formats) == ("folder", ("gguf",))
    assert fetch(spec, engine_format="gguf").name == "m-Q4_K_M.gguf"
    assert fetch(spec, engine_format="mlx").name == "m-Q8_0.gguf"


def test_folder_with_both_gives_each_engine_its_own() -> None:
    folder = mlx_folder(Path("both"))
    small_model().write(folder / "m-Q4_0.gguf")
    spec = resolve("both")
    assert spec.formats == ("mlx", "gguf")
    assert fetch(spec, engine_format="mlx") == folder
    assert fetch(spec, engine_format="gguf").name == "m-Q4_0.gguf"


def test_local_folder_hides_the_repository_of_that_name() -> None:
    assert resolve("owner/name").kind == "hub"
    mlx_folder(Path("owner/name"))
    assert resolve("owner/name").kind == "folder"


def test_folder_without_a_model_says_what_makes_one() -> None:
    Path("empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"holds no model: neither \.gguf files nor config\.json"):
        resolve("empty")


@pytest.mark.parametrize(
    ("name", "repository", "file", "quant", "revision", "formats"),
    [
        ("owner/name", "owner/name", None, None, None, ("gguf", "mlx")),
        ("Qwen/Qwen3-8B-GGUF", "Qwen/Qwen3-8B-GGUF", None, None, None, ("gguf",)),
        ("mlx-community/Qwen3-8B-4bit", "mlx-community/Qwen3-8B-4bit", None, None, None, ("mlx",)),
        ("owner/name:Q4_K_M", "owner/name", None, "Q4_K_M", None, ("gguf",)),
        ("owner/name@v1.0", "owner/name", None, None, "v1.0", ("gguf", "mlx")),
        ("owner/name@refs/pr/1", "owner/name", None, None, "refs/pr/1", ("gguf", "mlx")),
        ("owner/name:Q8_0@abc", "owner/name", None, "Q8_0", "abc", ("gguf",)),
        ("owner/name/file.gguf", "owner/name", "file.gguf", None, None, ("gguf",)),
        ("owner/name/sub/a file.gguf@main", "owner/name", "sub/a file.gguf", None, "main", ("gguf",)),
    ],
)
def test_names_of_the_hub(
    name: str, repository: str, file: str | None, quant: str | None, revision: str | None, formats: tuple[str, ...]
) -> None:
    spec = resolve(name)
    assert (spec.name, spec.kind, spec.path) == (name, "hub", None)
    assert (spec.repository, spec.file, spec.quantization, spec.revision) == (repository, file, quant, revision)
    assert spec.formats == formats


@pytest.mark.parametrize(
    "name",
    [
        "",
        "smollm",
        "a/b/c",
        "owner/..",
        "../name",
        "owner/name/../../../etc/x.gguf",
        "owner/name//x.gguf",
        "owner/name/..\\..\\x.gguf",
        "owner/name@../../x",
        "owner/name@/etc",
        "owner/na--me",
        "owner/na..me",
        "-owner/name",
        "owner/name.",
        "owner/" + "n" * 100,
        "https://huggingface.co/owner/name",
        "owner/\nname",
        "owner/name\0",
        "/owner/name",
        "~nobody-of-that-name/x.gguf",
        "x" * 10_000,
    ],
)
def test_other_names_are_unknown_and_the_kinds_are_listed(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r'There is no model .*"owner/name:Q4_K_M"') as caught:
        resolve(name)
    assert len(caught.value.message) < 900
    assert caught.value.message.isprintable()


@example("owner/name/../x.gguf")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-z.]{1,4}/[a-z.-]{1,4}(/[^@]{0,9}\.gguf)?(@.{0,9})?")))
def test_hostile_names_never_leave_the_cache(name: str) -> None:
    spec = parse_hub_name(name)
    if spec is None:
        return
    for part in (spec.repository, spec.file, spec.revision):
        root = Path("/root/cache")
        inside = (root / (part or "x")).resolve()
        assert inside.is_relative_to(root)
        assert inside != root


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("~\x00")
@given(st.text(max_size=60))
def test_any_text_is_resolved_or_refused(name: str) -> None:
    try:
        spec = resolve(name)
    except (ModelNotFound, ModelFileError) as error:
        assert error.message.isprintable()  # noqa: PT017 - either ending is right
    else:
        assert spec.kind in {"hub", "embedded"}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("smollm2-135m-instuct", EMBEDDED),
        ("embeded", EMBEDDED),
        ("./tinny-Q4_0.gguf", "tiny-Q4_0.gguf"),
        ("mine-Q8", "mine-Q8_0.gguf"),
    ],
)
def test_near_names_are_suggested(name: str, near: str, tmp_path: Path) -> None:
    small_model().write(Path("tiny-Q4_0.gguf"))
    (tmp_path / "models").mkdir()
    small_model().write(tmp_path / "models" / "mine-Q8_0.gguf")
    with pytest.raises(ModelNotFound, match=f"Did you mean {near}"):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("Qwen3-8B-UD-Q4_K_XL.gguf", "Q4_K_XL"),
        ("m-IQ4_NL-00001-of-00002.gguf", "IQ4_NL"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("Q8_0/model-F16.gguf", "F16"),
        ("model-bf16.gguf", "BF16"),
        ("model.gguf", None),
        ("faq8-model.gguf", None),
    ],
)
def test_quantisation_is_read_from_the_file_name(name: str, expected: str | None) -> None:
    assert quantization(name) == expected


FILES = ["a-Q8_0.gguf", "a-Q4_0.gguf", "a-Q5_K_M-00001-of-00002.gguf", "a-Q5_K_M-00002-of-00002.gguf", "README.md"]


def test_models_are_counted_once_and_sidecars_not() -> None:
    sidecars = ["mmproj-a-F16.gguf", "mtp-a-Q8_0.gguf", "a.imatrix.gguf", "a-LoRA-x.gguf"]
    assert gguf_models([*FILES, *sidecars]) == ["a-Q4_0.gguf", "a-Q5_K_M-00001-of-00002.gguf", "a-Q8_0.gguf"]
    assert split_family("x/a-00001-of-00002.gguf") == ["x/a-00001-of-00002.gguf", "x/a-00002-of-00002.gguf"]


def test_choice_follows_the_order_or_the_wish() -> None:
    assert choose_gguf(FILES, where="x") == "a-Q4_0.gguf"
    assert choose_gguf(FILES, where="x", order=MLX_ORDER) == "a-Q4_0.gguf"
    assert choose_gguf(FILES, where="x", wanted="q5_k_m") == "a-Q5_K_M-00001-of-00002.gguf"
    assert choose_gguf(["only-Q9_Z.gguf"], where="x") == "only-Q9_Z.gguf"
    assert choose_gguf(["big.gguf", "small.gguf"], where="x", wanted="small") == "small.gguf"


def test_choice_that_is_not_clear_is_left_to_the_caller() -> None:
    with pytest.raises(ModelNotFound, match=r"x has several models: big\.gguf, small\.gguf. Name the file: x/big"):
        choose_gguf(["big.gguf", "small.gguf"], where="x")
    with pytest.raises(ModelNotFound, match="x has no 'Q2_K'"):
        choose_gguf(FILES, where="x", wanted="Q2_K")
    with pytest.raises(ModelNotFound, match="x holds no GGUF model"):
        choose_gguf(["README.md"], where="x")


def test_importing_the_models_imports_nothing_heavy() -> None:
    heavy = ["httpx", "huggingface_hub", "filelock", "platformdirs", "ssl", "numpy", "subprocess"]
    code = (
        "import sys, types\n"
        "package = types.ModuleType('llmkit')\n"
        "package.__path__ = ['llmkit']\n"
        "sys.modules['llmkit'] = package\n"
        "import llmkit.models.catalog, llmkit.models.fetch, llmkit.models.cache, llmkit.models.gguf\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
