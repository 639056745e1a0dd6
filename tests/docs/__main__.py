"""`python -m tests.docs`: write the generated parts of the READMEs between their markers."""

from __future__ import annotations

from tests.docs.readme import named, read
from tests.docs.reference import GENERATED


def main() -> None:
    for marker, (name, generate) in GENERATED.items():
        # read anew: a README may have several parts
        readme, part = read(named(name).path), generate()
        if readme.between(marker) is None:
            raise SystemExit(f"{name}: no <!-- {marker} --> and <!-- /{marker} --> to write between")
        changed = readme.between(marker) != part
        if changed:
            readme.path.write_text(readme.filled(marker, part), encoding="utf-8")
        print(f"{name}: {marker} {'written' if changed else 'as before'}")


if __name__ == "__main__":
    main()
