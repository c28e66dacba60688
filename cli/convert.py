"""Run the command `convert FILE`: SubRip or WebVTT that a person may have edited, to another format."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final

from audio.errors import AudioError
from audio.pictures import has_pictures
from cli.burning import BurningFailed, CannotBurn, SubtitleBurner
from cli.console import FAILED, NO_AUDIO, NO_FILE, OK, UNUSABLE, print_error, reason_of
from cli.transcribe import MP4, STDIN, Result, content_of, write_text
from transcripts.cues import Cue
from transcripts.subtitles import (
    MAX_SRT_CHARS,
    SubtitleError,
    read_subtitles,
    transcript_of,
    write_ass,
    write_srt,
    write_vtt,
)

MAX_BYTES: Final = 4 * MAX_SRT_CHARS  # in UTF-8
WRITERS: Final = {"srt": write_srt, "vtt": write_vtt, "ass": write_ass}


def convert(args: argparse.Namespace) -> int:
    """Convert a file; return the exit code. Its cues, lines and times stay; formatting is dropped."""
    if args.output is None and args.format in ("docx", MP4):
        args.fail(f"{args.format} needs --output")
    if (args.format == MP4) != (args.video is not None):
        args.fail("mp4 needs --video" if args.format == MP4 else "--video needs --format mp4")
    try:
        cues = read_subtitles(_text(args.file), labels=False)
    except UnicodeDecodeError:
        print_error(f"{args.file}: this is no text in UTF-8")
        return UNUSABLE
    except OSError as error:
        print_error(reason_of(error, args.file))
        return NO_FILE
    except SubtitleError as error:
        print_error(f"{args.file}: {error}")
        return UNUSABLE
    if not cues:
        print_error(f"{args.file}: there are no subtitles")
        return UNUSABLE
    if args.format == MP4:
        return _burn(cues, args)
    content = _converted(cues, args)
    if args.output is None:
        write_text(sys.stdout, content.decode(), args.format)
        return OK
    try:
        args.output.write_bytes(content)
    except OSError as error:
        print_error(reason_of(error, args.output))
        return NO_FILE
    return OK


def _burn(cues: list[Cue], args: argparse.Namespace) -> int:
    """Write the video with the cues in its picture; return the exit code."""
    try:
        if not has_pictures(args.video):
            print_error(f"{args.video}: the file contains no video")
            return NO_AUDIO
        asyncio.run(SubtitleBurner().burn(args.video, write_ass(cues), args.output))
    except AudioError as error:
        print_error(f"{args.video}: {error}")
        return NO_AUDIO
    except OSError as error:
        print_error(reason_of(error, args.video))
        return NO_FILE
    except BurningFailed as error:
        print_error(str(error))
        return UNUSABLE if isinstance(error, CannotBurn) else FAILED
    return OK


def _text(path: Path) -> str:
    if path == STDIN:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SubtitleError(f"the file has more than {MAX_BYTES} bytes")
    return content.decode("utf-8-sig")


def _converted(cues: list[Cue], args: argparse.Namespace) -> bytes:
    if args.format in WRITERS:
        return WRITERS[args.format](cues).encode()
    return content_of(Result(transcript_of(cues, str(args.file))), args)
