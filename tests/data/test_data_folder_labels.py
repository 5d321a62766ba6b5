"""Labels from a table: found by name or place, checked, and counted."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_tf.build import account
from simclr_tf.data.sources import open_source
from simclr_tf.errors import UserError
from tests import image_files


@pytest.fixture
def photos(tmp_path):
    return image_files.write_folder(tmp_path / "photos", 4)


def opened(photos, text, split="train", name="labels.csv", **options):
    (photos.parent / name).write_text(text)
    return open_source(
        dataset="folder",
        data_dir=str(photos),
        split=split,
        labels=str(photos.parent / name),
        **options,
    )


TABLES = {
    "header": "file,label\n00.png,cat\n01.png,dog\n02.png,cat\n03.png,dog\n",
    "no_header": "00.png,cat\n01.png,dog\n02.png,cat\n03.png,dog\n",
    "other_order": "label,file\ncat,00.png\ndog,01.png\ncat,02.png\ndog,03.png",
    "no_suffix": "image_id,breed\n00,cat\n01,dog\n02,cat\n03,dog\n",
    "semicolons": "file;label\n00.png;cat\n01.png;dog\n02.png;cat\n03.png;dog",
    "tabs": "file\tlabel\n00.png\tcat\n01.png\tdog\n02.png\tcat\n03.png\tdog",
    "more_columns": "n,width,what,class\n1,9,00.png,cat\n2,9,01.png,dog\n"
    "3,9,02.png,cat\n4,9,03.png,dog\n",
    "folders": "path,label\nphotos/00.png,cat\nphotos/01.png,dog\n"
    "photos/02.png,cat\n.\\photos\\03.png,dog\n",
    "bom": "\ufefffile,label\n00.png,cat\n01.png,dog\n02.png,cat\n03.png,dog",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_every_form(photos, name):
    source = opened(photos, TABLES[name])
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(source.examples.labels, [0, 1, 0, 1])
    assert "2 classes: cat 2, dog 2; labels from" in account.of(source)


def test_what_has_no_partner_is_counted(photos):
    source = opened(
        photos, "file,label\n00.png,a\n01.png,b\n9.png,a\n02.png,\n"
    )
    np.testing.assert_array_equal(source.examples.labels, [0, 1, -1, -1])
    said = account.of(source)
    assert "1 rows of no image: 9.png" in said
    assert "2 images have no label" in said


def test_numbers_are_sorted_by_value(photos):
    source = opened(
        photos, "f,label\n00.png,10\n01.png,9\n02.png,9\n03.png,100"
    )
    assert source.class_names == ("9", "10", "100")


@pytest.mark.parametrize("separator", ["|", ";", " "])
def test_several_labels(photos, separator):
    cell = separator.join(["red", "blue"])
    source = opened(
        photos,
        f"file,label\n00.png,{cell}\n01.png,red\n02.png,green\n",
        several_labels=True,
    )
    assert source.class_names == ("blue", "green", "red")
    np.testing.assert_array_equal(
        source.examples.labels,
        [[1, 0, 1], [0, 0, 1], [0, 1, 0], [-1, -1, -1]],
    )
    assert source.several_labels


def test_the_fingerprint_changes_with_the_labels_and_the_images_stay(photos):
    first = opened(photos, "00.png,a\n01.png,b\n")
    other = opened(photos, "00.png,b\n01.png,a\n")
    assert first.fingerprint != other.fingerprint
    assert first.image_fingerprint == other.image_fingerprint


def test_splits_take_their_part(tmp_path):
    for name in ("train/0.png", "train/1.png", "val/2.png"):
        image_files.write(tmp_path / "photos" / name)
    text = "file,label\n0.png,a\n1.png,b\n2.png,b\n"
    val = opened(tmp_path / "photos", text, "val")
    assert val.class_names == ("a", "b")
    np.testing.assert_array_equal(val.examples.labels, [1])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "needs two columns"),
        ("file\n00.png\n", {}, "needs two columns"),
        ("file,label\nx.png,a\n", {}, "none of its 1 rows names an image"),
        ("file,label\n", {}, "none of its 0 rows names an image"),
        ("file,a,b\n00.png,1,2\n", {}, "columns file, a, b: say which"),
        ('file,label\n00.png,"a\n01.png,b\n', {}, r"\(line 3\)"),
        ("file,label\n00.png," + "a" * 200000, {}, "larger than field limit"),
        ("file,label\n00.png,a\n00.png,b\n", {}, "calls 00.png 'a' and 'b'"),
        (
            "file,label\n00.png,a\n",
            {"label_key": "colour"},
            r"no column 'colour' \(--label_key\)",
        ),
        ("00.png,a\n", {"label_key": "colour"}, "has no header"),
    ],
)
def test_what_is_wrong_is_one_sentence(photos, text, options, message):
    with pytest.raises(UserError, match=rf"--labels=.*{message}") as error:
        opened(photos, text, **options)
    assert "\n" not in str(error.value)


def test_a_table_names_files_as_any_system_writes_them(tmp_path):
    """Accents as letters of their own or not; and what else ends a line, to
    Python, is a letter of a name."""
    names = ["e\u0301.png", "a\x0bb.png", "c\u2028d.png", 'q, "x".png']
    photos = image_files.write_folder(tmp_path / "photos", len(names))
    for old, name in zip(sorted(photos.iterdir()), names, strict=True):
        old.rename(photos / name)
    told = ["\u00e9", "a\x0bb.png", "c\u2028d", '"q, ""x"".png"']
    text = "".join(f"{name},{i % 2}\n" for i, name in enumerate(told))
    source = opened(photos, f"file,label\n{text}")
    assert sorted(source.examples.labels.numpy()) == [0, 0, 1, 1]


def test_a_column_may_be_named(photos):
    source = opened(
        photos,
        "file,label,colour\n00.png,a,red\n01.png,b,red\n02.png,b,blue\n",
        label_key="colour",
    )
    assert source.class_names == ("blue", "red")


def test_a_table_that_is_not_there(photos):
    with pytest.raises(UserError, match=r"--labels=.* cannot be read"):
        open_source(
            dataset="folder",
            data_dir=str(photos),
            split="train",
            labels=str(photos / "none.csv"),
        )


def numbered(tmp_path, numbers):
    for number in numbers:
        image_files.write(tmp_path / "photos" / f"{number}.png", number)
    return tmp_path / "photos"


def label_by_file(source):
    """Name of a file -> the class that it has."""
    names = source.examples.name_of(tf.range(source.num_examples)).numpy()
    return {
        name.decode().rsplit("/", 1)[-1]: source.class_names[label]
        for name, label in zip(names, source.examples.labels, strict=True)
    }


@pytest.mark.parametrize(
    "text",
    [
        # Other images have these numbers.
        "id,filename,label\n1,2.png,b\n2,3.png,c\n3,1.png,a\n",
        "id,label,image\n1,b,2.png\n2,c,3.png\n3,a,1.png\n",
        "n,what,label\n1,2.png,b\n2,3.png,c\n3,1.png,a\n",
        # No image has.
        "id,filename,label\n1000,2.png,b\n1001,3.png,c\n1002,1.png,a\n",
        "id,filename,label\n1000,2,b\n1001,3,c\n1002,1,a\n",
        "image,scan,label\nx,2,b\ny,3,c\nz,1,a\n",
        # Both name the same images, one of them all.
        "id,file,label\n1,1,a\n2,2.png,b\n,3.png,c\n",
        "name,path,label\n1,photos/1,a\n2,photos/2,b\n,photos/3,c\n",
    ],
)
def test_the_column_of_files_is_the_one_that_names_them(tmp_path, text):
    source = opened(numbered(tmp_path, (1, 2, 3)), text)
    assert label_by_file(source) == {"1.png": "a", "2.png": "b", "3.png": "c"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,image,label\n1,2,b\n2,3,c\n3,1,a\n",
            "column 'id' says 1.png and 'image' says 2.png in .*--image_key",
        ),
        (
            "file,before,filename,label\n1.png,,3.png,a\n2.png,,2.png,b\n",
            "column 'file' says 1.png and 'filename' says 3.png",
        ),
        (
            "image_id,file_name,label\n1,DSC1.jpg,x\n2,3.png,y\n",
            "column 'image_id' says 2.png and 'file_name' says 3.png",
        ),
    ],
)
def test_columns_that_name_different_images_are_refused(
    tmp_path, text, message
):
    photos = numbered(tmp_path, (1, 2, 3))
    with pytest.raises(UserError, match=rf"--labels=.*{message}") as error:
        opened(photos, text)
    assert "\n" not in str(error.value)


def test_a_key_decides_between_columns_that_name_images(tmp_path):
    photos = numbered(tmp_path, (1, 2, 3))
    text = "id,image,label\n1,2,b\n2,3,c\n3,1,a\n"
    source = opened(photos, text, image_key="image")
    assert label_by_file(source) == {"1.png": "a", "2.png": "b", "3.png": "c"}


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n2,3\n3,2\n",
        "1,2\n2,3\n3,2\n98,1\n99,1\n",
        "photo,kind\n1,2\n2,3\n3,2\n",
    ],
)
def test_of_columns_that_have_no_names_the_first_is_of_files(tmp_path, text):
    source = opened(numbered(tmp_path, (1, 2, 3)), text)
    assert label_by_file(source) == {"1.png": "2", "2.png": "3", "3.png": "2"}


def test_classes_that_are_called_like_images_stay_classes(tmp_path):
    photos = numbered(tmp_path, range(1, 9))
    source = opened(photos, "1,5\n1,7\n2,6\n3,7\n4,8\n", several_labels=True)
    assert source.class_names == ("5", "6", "7", "8")


def test_a_column_without_a_name_is_not_taken_for_files(tmp_path):
    """As pandas writes the numbers of rows."""
    photos = numbered(tmp_path, (1, 2, 3))
    with pytest.raises(UserError, match=r"column '' says 1\.png and 'photo'"):
        opened(photos, ",photo,label\n1,2,a\n2,3,b\n3,1,c\n")


@pytest.mark.parametrize("key", [None, "label"])
def test_a_column_that_is_there_twice_is_refused(photos, key):
    text = "file,label,label\n00.png,a,b\n01.png,b,a\n"
    with pytest.raises(UserError, match="2 columns 'label'"):
        opened(photos, text, label_key=key)


def test_minus_one_beside_one_class_is_asked_about(photos):
    """As attributes are written, which are there (1) or not (-1)."""
    with pytest.raises(UserError, match=r"says -1, .*'1' alone"):
        opened(photos, "file,smiles\n00.png,1\n01.png,-1\n02.png,1\n")


@pytest.mark.parametrize("none", ["-1", "-1.0", ""])
@pytest.mark.parametrize("several_labels", [False, True])
def test_minus_one_is_no_label(photos, none, several_labels):
    source = opened(
        photos,
        f"file,label\n00.png,0\n01.png,{none}\n02.png,1\n03.png,{none}\n",
        several_labels=several_labels,
    )
    assert source.class_names == ("0", "1")
    none = [-1, -1] if several_labels else -1
    expected = (
        [[1, 0], none, [0, 1], none] if several_labels else [0, -1, 1, -1]
    )
    np.testing.assert_array_equal(source.examples.labels, expected)
    assert "2 images have no label" in account.of(source)


def test_minus_one_among_several_labels_counts_nowhere(photos):
    source = opened(
        photos,
        "file,label\n00.png,red|-1\n01.png,blue\n",
        several_labels=True,
    )
    assert source.class_names == ("blue", "red")


def test_a_header_that_is_too_short_is_one_sentence(photos):
    with pytest.raises(UserError, match="--labels="):
        opened(photos, "what\n9.png,a\n", label_key="what")
