"""What README.md and docs/ print: commands, links, names, Python."""

import importlib.util
import pathlib
import re
import shlex

import pytest

import simclr_tf
from flags import definitions
from simclr_tf import config
from simclr_tf.config import resolve, roles
from simclr_tf.errors import UserError
from simclr_tf.jobs.table import JOBS
from simclr_tf.studies import catalog
from simclr_tf.studies.cells import cells_of

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "tpu" / "README.md",
]
_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# Programs of ours with flags of their own.
_PROGRAMS = [
    ROOT / "simclr_tf" / "evaluation" / "__main__.py",
    *(ROOT / "tests" / "bench").glob("*.py"),
    *(ROOT / "tpu").glob("*.sh"),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=_NAMES)


def text_of(page):
    """A page whose commands are on one line each, variables filled in.

    A page may say E="--checkpoint=RUN" once and $E in the commands after it.
    """
    text = page.read_text().replace("\\\n", " ")
    text = text.replace("$SLURM_ARRAY_TASK_ID", "0")
    for name, value in re.findall(r"^([A-Z])=\"(.*)\"$", text, re.MULTILINE):
        text = re.sub(rf"\${name}\b", lambda _, v=value: v, text)
    return text


def commands(page):
    """The arguments of every `python run.py` of a page, and whether a comment
    behind it says that it is refused."""
    return [
        (
            [
                a.replace("--flagfile=", f"--flagfile={ROOT}/")
                for a in shlex.split(
                    # Behind it, what the shell does with it.
                    re.split(r" [|>&]+( |$)", command)[0],
                    comments=True,
                )
            ],
            "# refused" in command,
        )
        for command in re.findall(r"python run\.py ([^`\n]+)", text_of(page))
    ]


def accept(arguments):
    """Parses and resolves a command line, as its job takes it."""
    parsed = definitions.parse(["run.py", *arguments])
    if parsed.wants_help:
        return
    made = resolve.resolve(
        parsed.given, defaults=parsed.defaults, from_files=parsed.from_files
    )
    job = roles.job(made.config)
    JOBS[job].accepts.require_encoder(made.config.eval.encoder, job=job.words)


def code_spans(page):
    """What stands between single backquotes, outside of blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    return re.findall(r"`([^`]+)`", text)


def slug(heading):
    """A heading's anchor, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


def headings(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    return {slug(h) for h in re.findall(r"^#+ (.*)$", text, re.M)}


@every_page
def test_commands_are_taken_by_their_jobs(page):
    """Every flag that is typed is known, right, and for the job; or refused,
    in the words that the page has."""
    for arguments, is_refused in commands(page):
        if not is_refused:
            accept(arguments)
            continue
        with pytest.raises(UserError) as refusal:
            accept(arguments)
        assert f"error: {refusal.value}" in page.read_text()


def test_there_are_commands():
    assert sum(len(commands(page)) for page in PAGES) > 40


@every_page
def test_modules_and_scripts_that_are_run_exist(page):
    text = text_of(page)
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module
    for script, arguments in re.findall(
        r"python (tests/[\w/]+\.py)([^`\n]*)", text
    ):
        code = (ROOT / script).read_text()
        code += (ROOT / "tests" / "bench" / "measuring.py").read_text()
        ours = arguments.partition(" -- ")[0]
        for flag in re.findall(r"--\w+", ours):
            assert f'"{flag}"' in code, f"{script} {flag}"


@every_page
def test_make_has_its_targets(page):
    makefile = (ROOT / "Makefile").read_text()
    found = re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.M)
    for target in found:
        assert f"\n{target}:" in makefile, target


@every_page
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in headings(target), link


@every_page
def test_files_that_are_named_exist(page):
    folders = "simclr_tf|tests|flags|tpu|docs"
    text = page.read_text()
    for path in re.findall(rf"(?<![\w/.~-])((?:{folders})/[\w./-]*)", text):
        assert (ROOT / path.rstrip(".")).exists(), path


@every_page
def test_names_in_the_package_exist(page):
    for name in re.findall(r"\bsimclr_tf(?:\.[a-z_]\w*)+", page.read_text()):
        found = simclr_tf
        for part in name.split(".")[1:]:
            if part in ("json", "py"):
                break  # a file, not a module
            path = f"{found.__name__}.{part}"
            found = (
                getattr(found, part)
                if hasattr(found, part)
                else importlib.import_module(path)
            )


# tpu/README.md names flags of gcloud, too.
@pytest.mark.parametrize("page", PAGES[:-1], ids=_NAMES[:-1])
def test_flags_that_are_named_exist(page):
    known = {"defaults", "flagfile", "help", *config.options()}
    for program in _PROGRAMS:
        known |= set(re.findall(r"--(\w+)", program.read_text()))
    for span in code_spans(page):
        if not span.startswith("--"):
            continue
        name = re.match(r"--(\w+)", span)[1]
        negated = name.removeprefix("no")
        assert name in known or negated in known, span


@every_page
def test_python_compiles(page):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)
    for block in blocks:
        compile(block, str(page), "exec")


def test_the_page_of_studies_counts_their_runs():
    """Of each shipped study, settings x seeds, also where a text says it."""
    page = (ROOT / "docs" / "studies.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d,]+) \|$", page, re.M)
    counted = {}
    for name in catalog.names():
        study = catalog.find(name, size="quick")
        counted[name] = len(cells_of(study, typed={}, seeds=study.seeds))
        assert counted[name] == len(study.settings) * study.seeds
    assert {n: int(c.replace(",", "")) for n, c in rows} == counted
    array = f"--array=0-{counted['augment_pairs'] - 1}\n"
    assert array in page
    assert f"completions: {counted['augment_pairs']}\n" in page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 220
