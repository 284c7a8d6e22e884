"""Loading, saving, and the one clear line for everything that can be wrong with a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import nego_agents.local.memory as memory  # noqa: E402
import nego_agents.local.model as models  # noqa: E402
from nego_agents.local import hf  # noqa: E402
from nego_agents.local.agent import HFAgent  # noqa: E402
from nego_agents.local.errors import ModelError  # noqa: E402
from nego_agents.local.model import LocalModel  # noqa: E402
from nego_env.conformance import check_agent  # noqa: E402
from nego_env.errors import NotFoundError, SettingsError  # noqa: E402
from nego_env.messages import Message  # noqa: E402
from nego_env.registry import entry_points, load_entry_point  # noqa: E402
from nego_env.rollout import play  # noqa: E402
from tests.support import bargain, dilemma, single_line  # noqa: E402
from tests.tiny_models import tiny_model, tiny_tokenizer  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CHAT = [Message("system", "You are the tenant."), Message("user", "round 1 of 7")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("models") / "small"
    LocalModel(tiny_model(), tiny_tokenizer(), name="small", style="brief").save(found)
    return found


def test_a_saved_model_loads_again(folder: Path) -> None:
    made, loaded = LocalModel(tiny_model(), tiny_tokenizer(), name="small"), LocalModel.load(str(folder))
    assert {f.name for f in folder.iterdir()} >= {"config.json", "model.safetensors", "nego.json", "tokenizer.json"}
    assert (loaded.name, loaded.style, loaded.context) == (str(folder), "brief", 4096)
    assert made.style == "full"
    assert loaded.glue.opening(CHAT) == made.glue.opening(CHAT)
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    ids = torch.tensor([loaded.glue.opening(CHAT)])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, made.model(ids).logits)


def test_it_plays_under_its_name(folder: Path) -> None:
    name = f"{folder},max_new_tokens=4,temperature=0.5"
    t = play(bargain(), [HFAgent(name, spec="mine"), "boulware"], max_rounds=2)
    assert t.agents == ("mine", "boulware")
    check_agent(HFAgent(name), scenarios=[bargain(), dilemma()], episodes=1)


def test_two_of_one_name_share_the_weights(folder: Path) -> None:
    one, other = hf(f"{folder},temperature=0"), hf(f"{folder},top_p=0.5")
    assert one.model is other.model
    assert LocalModel.load(str(folder)) is not one.model


def test_it_is_registered() -> None:
    found = entry_points("nego_env.agents")
    if "hf" not in found:
        pytest.skip("installed before there was one: pip install -e .")
    assert load_entry_point(found["hf"]) is HFAgent


# ---------------------------------------------------------------- what can be wrong
def refused(name: str, error: type[Exception], **options: Any) -> str:
    with pytest.raises(error) as e:
        LocalModel.load(name, **options)
    assert single_line(str(e.value))
    return str(e.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for name in (str(tmp_path / "nothing"), "./nothing", "~/nothing/at/all", "../x"):
        assert "no such folder" in refused(name, NotFoundError)
    assert "no config.json" in refused(str(tmp_path), NotFoundError)


def test_a_name_that_the_hub_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        assert kwargs["trust_remote_code"] is False
        raise OSError("\nWe couldn't connect to the hub.\nCheck your connection.")

    monkeypatch.setattr(models.AutoTokenizer, "from_pretrained", unreachable)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in refused("nobody/nothing", NotFoundError)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert "the hub gave none: We couldn't connect" in refused("nobody/nothing", NotFoundError)


def test_a_broken_checkpoint(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    assert "cannot be loaded" in refused(str(tmp_path), ModelError)
    (tmp_path / "nego.json").write_text('{"style": "terse"}')
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert "nego.json" in refused(str(tmp_path), ModelError)
    (tmp_path / "config.json").write_text("{")
    assert "cannot be loaded" in refused(str(tmp_path), ModelError)


def test_pickled_weights_are_not_read(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(tiny_model().state_dict(), tmp_path / "pytorch_model.bin")
    assert "safetensors" in refused(str(tmp_path), ModelError)


def test_code_of_a_repository_is_not_run(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('it was run')")
    assert "cannot be loaded" in refused(str(tmp_path), ModelError)


def test_a_model_without_a_chat_template(folder: Path, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer(template=None).save_pretrained(tmp_path)
    assert "no chat template" in refused(str(tmp_path), ModelError)


def test_a_device_or_dtype_that_is_none(folder: Path) -> None:
    assert "expected auto, cpu" in refused(str(folder), SettingsError, device="toaster")
    assert "did you mean 'float32'" in refused(str(folder), NotFoundError, dtype="float23")
    if not torch.cuda.is_available():
        assert "no CUDA device" in refused(str(folder), SettingsError, device="cuda")
    assert LocalModel.load(str(folder), dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16


def test_too_little_memory_is_said_before_the_weights_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    weights, cache = memory.needed_bytes(model.config, torch.float32)
    assert weights == sum(p.nbytes for p in model.parameters())
    assert cache == 2 * 2 * 2 * 8 * 4096 * 4, "keys and values, layers, heads, dim, tokens, bytes"
    monkeypatch.setattr(memory, "free_bytes", lambda device: weights + cache - 1)
    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", None)
    assert "take a smaller model" in refused(str(folder), ModelError)
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    memory.check_memory(str(folder), "small", torch.float32, torch.device("cpu"), {})


def test_free_memory_is_known_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   2048 kB\n"}
    monkeypatch.setattr(memory, "_read", lambda path: files.get(path, ""))
    assert memory.free_bytes(torch.device("cpu")) == 2048 * 1024
    files |= {"/sys/fs/cgroup/memory.max": "1000000\n", "/sys/fs/cgroup/memory.current": "400000\n"}
    assert memory.free_bytes(torch.device("cpu")) == 600_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.free_bytes(torch.device("cpu")) == 2048 * 1024
    files.clear()
    assert memory.free_bytes(torch.device("cpu")) is None


def test_a_missing_default_model_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "files", lambda package: tmp_path)
    assert "missing from this installation" in refused("nego-tiny", NotFoundError)


def test_torch_is_imported_when_an_agent_is_made_and_not_before() -> None:
    code = """
import sys
import nego_agents.local
assert not {"torch", "transformers"} & set(sys.modules)
sys.modules["torch"] = None
from nego_env.errors import MissingExtraError
try:
    nego_agents.local.hf("anything")
except MissingExtraError as e:
    print(e)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "language models on this machine need torch: pip install 'nego-env[llm]'\n"


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
def test_an_adapter_is_loaded_onto_its_base_and_talked_to_in_its_style(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    base = LocalModel.load(str(folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        adapted = peft.get_peft_model(base.model, peft.LoraConfig(task_type="CAUSAL_LM", r=2, init_lora_weights=False))
    adapted.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    loaded = LocalModel.load(str(tmp_path))
    assert loaded.style == "brief"
    ids = torch.tensor([base.glue.opening(CHAT)])
    with torch.no_grad():
        assert torch.allclose(loaded.model(ids).logits, adapted(ids).logits, atol=1e-4)
    mine = HFAgent(model=LocalModel(adapted, base.tokenizer, name="adapted", style="brief"))
    t = play(bargain(), mine, max_rounds=1)
    assert t.scored
    assert mine._decoder._layout is not None
    assert not mine._decoder._lean, "its projections are not plain ones"
