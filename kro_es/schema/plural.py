"""The plural of a kind: the same word kro's pluralisation gives, since it is part of every resource address."""

from __future__ import annotations

_UNCHANGED = (
    "aircraft beef bison blues chassis deer fish moose police salmon series sheep shrimp species swine trout tuna you "
    "media graffiti equipment information jeans money news rice"
)
# endings: (cut, add) for each list of words; "!" marks words that never match as a suffix
_REGULAR = (
    ("", "s", "stadium curriculum pretorium quota agenda formula vedalia bureau human base use! abuse cause clause "
              "cruse excuse fuse house misuse muse pause ache dwarf hoof chive hive move movie cookie shoe toe!"),
    ("", "es", "alias! topaz buffalo potato tomato"),
    ("on", "a", "criterion ganglion mitochondrion noumenon phenomenon taxon lexicon"),
    ("um", "a", "medium aquarium auditorium symposium"),
    ("us", "i", "alumnus bacillus cactus coccus focus locus nucleus radius syllabus"),
    ("", "e", "alumna vertebra differentia minutia vita larva postcava praecava uva"),
    ("ex", "ices", "apex codex index latex vertex vortex"),
    ("ix", "ices", "appendix radix helix"),
    ("is", "es", "axis! crisis ellipsis genesis oasis thesis testis basis"),
)  # fmt: skip
_IRREGULAR = (
    "child/children ox!/oxen foot/feet goose/geese man/men woman/women louse!/lice mouse/mice tooth/teeth die!/dice "
    "person/people adieu/adieux fabliau/fabliaux octopus/octupuses corpus/corpora genus/genera thief/thieves"
)
_SUFFIXES = (
    "tive/tives eaf/eaves oaf/oaves afe/aves arf/arves rfe/rves rf/rves lf/lves fe/ves ay/ays ey/eys oy/oys quy/quies "
    "uy/uys y/ies eau/eaux bula/bulae dula/bulae lula/bulae nula/bulae vula/bulae hedron/hedra ium/ia seum/seums "
    "eum/ea oum/oa stracum/straca dum/da elum/ela ilum/ila olum/ola ulum/ula llum/lla ylum/yla imum/ima ernum/erna "
    "gnum/gna brum/bra crum/cra terum/tera serum/sera trum/tra antum/anta atum/ata entum/enta etum/eta itum/ita "
    "otum/ota utum/uta ctum/cta ovum/ova trix/trices iasis/iases mesis/meses kinesis/kineses resis/reses gnosis/gnoses "
    "opsis/opses ysis/yses ouse/ouses lause/lauses us/uses ch/ches io/ios sh/shes ss/sses ez/ezzes iz/izzes tz/tzes "
    "zz/zzes ano/anos lo/los to/tos oo/oos o/oes x/xes"
)
_ACRONYMS = (
    "OK UTF8 HTML JSON JWT ID UUID SQL ACK ACL ADSL AES ANSI API ARP ATM BGP BSS CCITT CHAP CIDR CIR CLI CPE CPU CRC "
    "CRT CSMA CMOS DCE DEC DES DHCP DNS DRAM DSL DSLAM DTE DMI EHA EIA EIGRP EOF ESS FCC FCS FDDI FTP GBIC GEPOF HDLC "
    "HTTP HTTPS IANA ICMP IDF IDS IEEE IETF IMAP IP IPS ISDN ISP LACP LAN LAPB LAPF LLC MAC MC MDF MIB MPLS MTU NAC "
    "NAT NBMA NIC NRZ NRZI NVRAM OSI OSPF OUI PAP PAT PC PIM PCM PDU POP3 POTS PPP PPTP PTT PVST RAM RARP RFC RIP RLL "
    "ROM RSTP RTP RCP SDLC SFD SFP SLARP SLIP SMTP SNA SNAP SNMP SOF SRAM SSH SSID STP SYN TDM TFTP TIA TOFU UDP URL "
    "URI USB UTP VC VLAN VLSM VPN W3C WAN WEP WPA WWW"
)


def _dictionary() -> dict[str, str]:
    """Singular to plural; a singular with ``!`` matches whole words only."""
    found = {word: word for word in _UNCHANGED.split()}
    for cut, add, words in _REGULAR:
        for word in words.split():
            bare = word.rstrip("!")
            found[word] = bare.removesuffix(cut) + add
    for pair in _IRREGULAR.split():
        singular, _, plural = pair.partition("/")
        found[singular] = plural
    return found


def _suffix_rules(words: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Ending and what it becomes, in the order they are tried: dictionary words longest first, then the pairs."""
    dictionary: dict[str, str] = {}
    for singular, plural in words.items():
        if not singular.endswith("!"):
            dictionary.setdefault(singular, plural)
    for singular, plural in words.items():
        if not singular.endswith("!"):
            dictionary[plural] = plural
    pairs = [pair.split("/") for pair in _SUFFIXES.split()]
    endings = [rule for singular, plural in pairs for rule in ((plural, plural), (singular, plural))]
    return (*sorted(dictionary.items(), key=lambda rule: -len(rule[0])), *endings)


_WORDS = _dictionary()
_WHOLE = {singular.rstrip("!"): plural for singular, plural in _WORDS.items()}
_UPPER = frozenset(_ACRONYMS.split())
_PLURALS = frozenset(_WORDS.values()) | {"octopi", "formulae"}
_RULES = _suffix_rules(_WORDS)


def plural(kind: str) -> str:
    """The resource name of a kind, e.g. ``widgets`` for ``Widget`` (spec/01 §3.1)."""
    word = kind.lower()
    if word in _WHOLE:
        return _WHOLE[word]
    if word in _PLURALS:
        return word
    if kind.upper() in _UPPER:
        # kro builds a name no API server takes when the acronym ends in s, so any valid one will do
        return word + ("es" if word.endswith("s") else "s")
    for ending, becomes in _RULES:
        if word.endswith(ending):
            return word.removesuffix(ending) + becomes
    return word if word.endswith("s") else word + "s"
