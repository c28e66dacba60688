"""Convert between ISO 639-1 codes and the English names of OpenAI's API, and choose a detected language."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

# Whisper is often wrong about the language of a second of speech, but hardly ever with this probability.
MIN_LANGUAGE_PROBABILITY: Final = 0.5
# A speaker seldom changes the language, so another one than that before must be so many times as probable.
SWITCH_RATIO: Final = 20
# A language of this probability always is: the one before has at most the rest, which is a 20th of it.
SWITCH_PROBABILITY: Final = SWITCH_RATIO / (SWITCH_RATIO + 1)

_NAMES: Final = """
aa Afar, ab Abkhazian, ae Avestan, af Afrikaans, ak Akan, am Amharic, an Aragonese, ar Arabic, as Assamese,
av Avaric, ay Aymara, az Azerbaijani, ba Bashkir, be Belarusian, bg Bulgarian, bh Bihari, bi Bislama,
bm Bambara, bn Bengali, bo Tibetan, br Breton, bs Bosnian, ca Catalan, ce Chechen, ch Chamorro, co Corsican,
cr Cree, cs Czech, cu Church Slavic, cv Chuvash, cy Welsh, da Danish, de German, dv Divehi, dz Dzongkha,
ee Ewe, el Greek, en English, eo Esperanto, es Spanish, et Estonian, eu Basque, fa Persian, ff Fulah,
fi Finnish, fj Fijian, fo Faroese, fr French, fy Western Frisian, ga Irish, gd Scottish Gaelic, gl Galician,
gn Guarani, gu Gujarati, gv Manx, ha Hausa, he Hebrew, hi Hindi, ho Hiri Motu, hr Croatian, ht Haitian Creole,
hu Hungarian, hy Armenian, hz Herero, ia Interlingua, id Indonesian, ie Interlingue, ig Igbo, ii Sichuan Yi,
ik Inupiaq, io Ido, is Icelandic, it Italian, iu Inuktitut, ja Japanese, jv Javanese, ka Georgian, kg Kongo,
ki Kikuyu, kj Kuanyama, kk Kazakh, kl Kalaallisut, km Khmer, kn Kannada, ko Korean, kr Kanuri, ks Kashmiri,
ku Kurdish, kv Komi, kw Cornish, ky Kyrgyz, la Latin, lb Luxembourgish, lg Ganda, li Limburgish, ln Lingala,
lo Lao, lt Lithuanian, lu Luba-Katanga, lv Latvian, mg Malagasy, mh Marshallese, mi Maori, mk Macedonian,
ml Malayalam, mn Mongolian, mr Marathi, ms Malay, mt Maltese, my Myanmar, na Nauru, nb Norwegian Bokmal,
nd North Ndebele, ne Nepali, ng Ndonga, nl Dutch, nn Nynorsk, no Norwegian, nr South Ndebele, nv Navajo,
ny Chichewa, oc Occitan, oj Ojibwa, om Oromo, or Oriya, os Ossetian, pa Punjabi, pi Pali, pl Polish,
ps Pashto, pt Portuguese, qu Quechua, rm Romansh, rn Rundi, ro Romanian, ru Russian, rw Kinyarwanda,
sa Sanskrit, sc Sardinian, sd Sindhi, se Northern Sami, sg Sango, sh Serbo-Croatian, si Sinhala, sk Slovak,
sl Slovenian, sm Samoan, sn Shona, so Somali, sq Albanian, sr Serbian, ss Swati, st Southern Sotho,
su Sundanese, sv Swedish, sw Swahili, ta Tamil, te Telugu, tg Tajik, th Thai, ti Tigrinya, tk Turkmen,
tl Tagalog, tn Tswana, to Tonga, tr Turkish, ts Tsonga, tt Tatar, tw Twi, ty Tahitian, ug Uyghur,
uk Ukrainian, ur Urdu, uz Uzbek, ve Venda, vi Vietnamese, vo Volapuk, wa Walloon, wo Wolof, xh Xhosa,
yi Yiddish, yo Yoruba, za Zhuang, zh Chinese, zu Zulu, haw Hawaiian, jw Javanese, yue Cantonese
"""

NAMES: Final[dict[str, str]] = {
    code: name.lower() for code, _, name in (entry.strip().partition(" ") for entry in _NAMES.split(","))
}
# Codes of ISO 639-3 and withdrawn ones that clients send.
_ALIASES: Final = {"fil": "tl", "cmn": "zh", "iw": "he", "in": "id", "ji": "yi"}
_CODES: Final[dict[str, str]] = {name: code for code, name in reversed(NAMES.items())}


def code_of(asked: str) -> str | None:
    """Return the code for a code, a code with a region (pt-BR) or a name; None for an unknown language."""
    asked = asked.strip().lower()
    code = asked.replace("_", "-").partition("-")[0]
    code = _ALIASES.get(code, code)
    return code if code in NAMES else _CODES.get(asked)


def codes_of(asked: Iterable[str]) -> list[str]:
    """Return the codes of languages, each once. Raises ValueError that names an unknown language."""
    codes = {language: code_of(language) for language in asked}
    unknown = next((language for language, code in codes.items() if code is None), None)
    if unknown is not None:
        raise ValueError(f"no language {unknown[:50]!r} is known; use ISO 639-1 codes")
    return list(dict.fromkeys(code for code in codes.values() if code is not None))


def name_of(code: str | None) -> str:
    """Return the English name of a code in lower case, or "unknown"."""
    return NAMES.get((code or "").partition("-")[0].lower(), "unknown")


def choose_language(
    detected: Mapping[str, float], likely: str | None, allowed: Collection[str] = ()
) -> tuple[str, float]:
    """Return the language of a clip and its probability.

    detected: probabilities of all languages
    likely: the language before; it is chosen unless another one has at least MIN_LANGUAGE_PROBABILITY and is
        SWITCH_RATIO times as probable
    allowed: codes of the languages to choose from, whose probabilities then add up to 1; if it is empty, or
        has none of the detected languages, all of these
    """
    among = {code: probability for code, probability in detected.items() if code in allowed}
    if among:
        total = sum(among.values())
        detected = {code: probability / total if total else 0.0 for code, probability in among.items()}
    language, probability = max(detected.items(), key=lambda each: each[1])
    if likely is None or likely not in detected:
        return language, probability
    if probability < max(MIN_LANGUAGE_PROBABILITY, SWITCH_RATIO * detected[likely]):
        return likely, detected[likely]
    return language, probability
