"""Text as people have it: CSV and JSON of other programs, and the words of embeddings.

Whoever made such a file is named beside it. Right is what that program itself reads back.
"""

import base64
import json
import resource
import shutil
import subprocess

import numpy
import pytest

from format_files import count, exported, refused, same
from harness import QUIVERFS, quiverfs

MARK = b"\xef\xbb\xbf"
ROWS = numpy.array([[1, 2, 3, 4], [5, 6, 7, 8]], "<f4")


@pytest.fixture
def store(stores):
    return stores.create(dim=4)


def put(tmp, name, text):
    path = tmp / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def taken(store, tmp, name, text, *words, ids=(0, 1), rows=ROWS):
    """A file is imported, and these vectors come of it; what was said."""
    done = quiverfs("import", store.path, put(tmp, name, text), *words)
    found, numbers = exported(store, tmp)
    same(found, rows)
    assert numbers == list(ids)
    return done.stderr


# ---- marks before a text ----------------------------------------------------


@pytest.mark.parametrize("name, text, ids", [
    ("a.csv", "1,2,3,4\n5,6,7,8\n", (0, 1)),
    ("a.csv", "100,1,2,3,4\n101,5,6,7,8\n", (100, 101)),
    ("a.csv", "id,a,b,c,d\n100,1,2,3,4\n101,5,6,7,8\n", (100, 101)),
    ("a.vec", "2 4\nx 1 2 3 4\ny 5 6 7 8\n", (0, 1)),
    ("a.txt", "x 1 2 3 4\ny 5 6 7 8\n", (0, 1)),
    ("a.jsonl", '{"vector": [1, 2, 3, 4]}\n{"vector": [5, 6, 7, 8]}\n', (0, 1)),
    ("a.json", '[{"vector": [1, 2, 3, 4]},\n{"vector": [5, 6, 7, 8]}]\n', (0, 1)),
])
def test_a_byte_order_mark_is_no_part_of_the_text(store, tmp, name, text, ids):
    taken(store, tmp, name, MARK + text.encode(), ids=ids)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.vec", "a.json"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused_by_its_name(store, tmp, name, codec):
    refused("import", store.path, put(tmp, name, "1,2,3,4\n".encode(codec)),
            says=["UTF-16", "iconv"])


# ---- the line of names ------------------------------------------------------


@pytest.mark.parametrize("first, says", [
    (",2,3,4", "column 1 is empty"),
    ("NA,2,3,4", "column 1 is 'NA'"),
    ("null,2,3,4", "column 1 is 'null'"),
    ("1,,3,4", "column 2 is empty"),
    ("1,2,3,", "column 4 is empty"),
    ("1,2,3,4,", "ends in a delimiter"),
    ("1,x,3,4", "column 2, 'x', is not a number"),
    ('1,"2 x",3,4', "column 2, '2 x', is not a number"),
    ('1,"",3,4', "column 2 is empty"),
    (",,,", "column 1 is empty"),
])
def test_a_first_line_with_a_number_is_no_line_of_names(store, tmp, first, says):
    refused("import", store.path, put(tmp, "a.csv", first + "\n5,6,7,8\n"), says=["line 1", says])
    assert "--header" not in quiverfs("import", store.path, tmp / "a.csv", status=1).stderr
    assert count(store) == 0


@pytest.mark.parametrize("text", [
    '"1","2","3","4"\n"5","6","7","8"\n',  # csv.QUOTE_ALL of Python, Excel's text columns
    '"1";"2";"3";"4"\n"5";"6";"7";"8"\n',
    "nanoid,b,c,d\n1,2,3,4\n5,6,7,8\n",  # a name that begins as a number does
    "inf rate,b,c,d\n1,2,3,4\n5,6,7,8\n",
    '"a, b","say ""c""",d,e\n1,2,3,4\n5,6,7,8\n',
])
def test_numbers_in_quotes_and_names_of_any_kind(store, tmp, text):
    taken(store, tmp, "a.csv", text)


def test_one_row_in_quotes_is_a_row(store, tmp):
    taken(store, tmp, "a.csv", '"1";"2";"3";"4"\n', ids=[0], rows=ROWS[:1])


@pytest.mark.parametrize("text, ids", [
    ("0,1,2,3\n1,2,3,4\n5,6,7,8\n", (0, 1)),  # pandas: to_csv(index=False)
    (",0,1,2,3\n7,1,2,3,4\n9,5,6,7,8\n", (7, 9)),  # pandas: to_csv()
    ("id,0,1,2,3\n7,1,2,3,4\n9,5,6,7,8\n", (7, 9)),
    ("title,heading,0,1,2,3\na,b,1,2,3,4\n", ()),  # OpenAI's Olympics
])
def test_the_names_that_pandas_gives_columns_are_told(store, tmp, text, ids):
    rows = ROWS if ids else ROWS[:1]
    said = taken(store, tmp, "a.csv", text, ids=ids or [0], rows=rows)
    assert "note: its first line counts from 0 to 3" in said and "--header no" in said


def test_header_says_what_the_first_line_is(store, tmp):
    taken(store, tmp, "a.csv", "9,9,9,9\n1,2,3,4\n5,6,7,8\n", "--header", "yes")
    taken(store, tmp, "a.csv", "0,1,2,3\n5,6,7,8\n", "--header=no",
          rows=numpy.array([[0, 1, 2, 3], [5, 6, 7, 8]], "<f4"))
    refused("import", store.path, put(tmp, "a.csv", "a,b,c,d\n1,2,3,4\n"), "--header", "no",
            says=["column 1, 'a', is not a number"])
    quiverfs("import", store.path, tmp / "a.csv", "--header", "maybe", status=2)
    refused("import", store.path, put(tmp, "a.jsonl", "{}"), "--header", "no", says=["for CSV"])


def test_names_among_which_is_a_number(store, tmp):
    path = put(tmp, "a.csv", "id,1,2,3,4\n0,1,2,3,4\n1,5,6,7,8\n")
    refused("import", store.path, path, says=["'id' is not a whole number", "--header yes"])
    taken(store, tmp, "a.csv", path.read_bytes(), "--header", "yes")


@pytest.mark.parametrize("text", ["a,b,c,d\n", "hello\n", "# nothing else\n"])
def test_a_file_of_names_alone_is_no_success(store, tmp, text):
    refused("import", store.path, put(tmp, "a.csv", text), says=["a.csv"])


def test_row_names_of_r(store, tmp):
    # write.csv and write.table(sep=","), whose names lack that of the row names
    taken(store, tmp, "a.csv", '"","V1","V2","V3","V4"\n"1",1,2,3,4\n"2",5,6,7,8\n', ids=(1, 2))
    taken(store, tmp, "b.csv", '"V1","V2","V3","V4"\n"1",1,2,3,4\n"2",5,6,7,8\n', ids=(1, 2))


# ---- delimiters, comments ---------------------------------------------------


@pytest.mark.parametrize("name, text", [
    ("a.tsv", "1\t2\t3\t4\n5\t6\t7\t8\n"),
    ("a.csv", "1\t2\t3\t4\n5\t6\t7\t8\n"),
    ("a.csv", "1;2;3;4\n5; 6; 7;8\n"),
    ("a.csv", "1|2|3|4\n5|6|7|8\n"),
    ("a.csv", "1 2  3\t4\n 5 6 7 8 \n"),
    ("a.csv", "# 2 vectors\n1 2 3 4\n# half way\n5 6 7 8\n"),
    ("a.tsv", "a\tb\tc\td\n1\t2\t3\t4\n5\t6\t7\t8\n"),
])
def test_what_separates_is_found(store, tmp, name, text):
    taken(store, tmp, name, text)


@pytest.mark.parametrize("text", [
    "sep=;\n1;2;3;4\n5;6;7;8\n",  # Excel reads, and some programs write it for Excel
    "\ufeffsep=;\r\na;b;c;d\r\n1;2;3;4\r\n5;6;7;8\r\n",
    '"sep=;"\n1;2;3;4\n5;6;7;8\n',
    "SEP=,\n1,2,3,4\n5,6,7,8\n",
    "sep=\t\n1\t2\t3\t4\n5\t6\t7\t8\n",
    "sep=|\ntext|vector\na,b,c,d|[1,2,3,4]\ne,f|[5,6,7,8]\n",
])
def test_what_excel_is_told_of_the_delimiter(store, tmp, text):
    taken(store, tmp, "a.csv", text)


def test_what_only_looks_like_that(store, tmp):
    taken(store, tmp, "a.csv", "sep=;\n1,2,3,4\n5,6,7,8\n", "--delimiter", "comma")
    refused("import", store.path, put(tmp, "a.csv", "sep=;\n"), says=["it holds no row"])
    taken(store, tmp, "a.csv", "sep=1,b,c,d\n1,2,3,4\n5,6,7,8\n")
    refused("import", store.path, put(tmp, "a.csv", "sep=7\n1,2,3,4\n"), says=["line 2"])


@pytest.mark.parametrize("name, text", [
    ("a.csv", "1,2,3,4\r5,6,7,8\r"), ("a.csv", "1,2,3,4\r5,6,7,8"),
    ("a.csv", '"a","b","c","d"\r1,2,3,4\r'), ("a.csv", "\ufeffa;b;c;d\r1;2;3;4\r5;6;7;8\r"),
    ("a.txt", "x 1 2 3 4\ry 5 6 7 8\r"),
    ("a.vec", "2 4\rx 1 2 3 4\ry 5 6 7 8\r")])
@pytest.mark.parametrize("piped", [False, True])
def test_lines_of_old_macs_are_refused_by_that_name(store, tmp, name, text, piped):
    path = put(tmp, name, text)
    words = ["-", "--format", {"csv": "csv", "txt": "glove", "vec": "word2vec"}[name[2:]]]
    says = ["end in CR alone", r"tr '\r' '\n' <FILE"]
    if piped:
        refused("import", store.path, *words, stdin=path.read_bytes(), says=says)
    else:
        refused("import", store.path, path, says=says)
        taken(store, tmp, name, text.replace("\r", "\n").replace("\ufeff", ""),
              **({} if "5" in text else {"ids": [0], "rows": ROWS[:1]}))


def test_a_long_file_of_an_old_mac(store, tmp):
    """What was told is that its line is too long."""
    refused("import", store.path, put(tmp, "a.csv", "1,2,3,4\r" * 600000),
            says=["a.csv: line 1: ", "end in CR alone"])


def test_a_cr_more_than_ends_a_line(store, tmp):
    """csv.writer of Python on Windows, without newline=''."""
    for text in "a,b,c,d\r\r\n1,2,3,4\r\r\n5,6,7,8\r\r\n", "1,2,3,4\r\n5,6,7,8\r":
        taken(store, tmp, "a.csv", text)
    taken(store, tmp, "a.vec", "2 4\r\r\nx 1 2 3 4\r\r\ny 5 6 7 8\r\r\n")


def test_a_cr_within_quotes_ends_no_line(store, tmp):
    taken(store, tmp, "a.csv", '"a\rb",c,d,e\n1,2,3,4\n5,6,7,8\r')


def test_what_numpy_saves_as_text(store, tmp):
    for words in ({}, {"header": "x y z w"}, {"delimiter": ","}, {"fmt": "%.3f", "delimiter": "\t"}):
        numpy.savetxt(tmp / "n.csv", ROWS, **words)
        taken(store, tmp, "n.csv", (tmp / "n.csv").read_bytes())


def test_delimiter_by_name(store, tmp):
    taken(store, tmp, "a.csv", "1|2|3|4\n5|6|7|8\n", "--delimiter", "pipe")
    taken(store, tmp, "a.csv", "1|2|3|4\n5|6|7|8\n", "--delimiter", "|")
    refused("import", store.path, tmp / "a.csv", "--delimiter", "comma", says=["dim 1"])
    quiverfs("import", store.path, tmp / "a.csv", "--delimiter", "x", status=2)


@pytest.mark.parametrize("text", ["1,5;2;3;4\n", "1;2;3;4\n5;6,25;7;8\n", "-1,5\t2\t3\t4\n"])
def test_a_decimal_comma_is_refused_by_its_name(store, stores, tmp, text):
    two = stores.create(dim=2, name="two")  # here no cell of the line is a number
    refused("import", two.path, put(tmp, "a.csv", "1,5;2,5\n1,5;2,5\n"), says=["decimal comma"])
    refused("import", store.path, put(tmp, "a.csv", text), says=["decimal comma"])


def test_an_empty_cell_between_tabs_is_not_passed_over(store, tmp):
    refused("import", store.path, put(tmp, "a.tsv", "1\t\t3\t4\n"), says=["column 2 is empty"])
    refused("import", store.path, put(tmp, "b.tsv", "1\t2\t\t3\t4\n"),
            says=["column 3 is empty"])


def test_a_key_that_begins_as_a_comment_does(store, tmp):
    keys = tmp / "keys"
    taken(store, tmp, "a.csv", "#one,1,2,3,4\n#two,5,6,7,8\n", "--keys", keys)
    assert keys.read_text() == "#one\n#two\n"


def test_with_keys_the_first_column_is_one_whatever_it_is(store, tmp):
    taken(store, tmp, "a.csv", "nan,1,2,3,4\n1.5,5,6,7,8\n", "--keys", tmp / "keys")
    assert (tmp / "keys").read_text() == "nan\n1.5\n"


# ---- columns by name, lists -------------------------------------------------


@pytest.mark.parametrize("text, ids", [
    ('id,text,embedding\n7,"a ""b"", c","[1, 2, 3, 4]"\n9,,"[5,6,7,8]"\n', (7, 9)),
    ('text,embedding,_id\nx,"[1, 2, 3, 4]",7\ny,"[5, 6, 7, 8]",9\n', (7, 9)),
    (',Embedding\n0,"[1, 2, 3, 4]"\n1,"[5, 6, 7, 8]"\n', (0, 1)),
    ('id,embedding\n7,"1, 2, 3, 4"\n9,"5,6,7,8"\n', (7, 9)),
    # numpy prints an array in a cell over several lines
    ('id,vector\n7,"[1. 2.\n 3. 4.]"\n9,"[5. 6.\n 7. 8.]"\n', (7, 9)),
    ('id,note,vector\n7,"one\n\ntwo, ""three""","[1,2,3,4]"\n9,x,"[5,6,7,8]"\n', (7, 9)),
    ("7\t[1,2,3,4]\n9\t[5,6,7,8]\n", (7, 9)),  # COPY of pgvector
    ("7\t{1,2,3,4}\n9\t{5,6,7,8}\n", (7, 9)),  # COPY of real[]
    ('7,"{1,2,3,4}"\n9,"{5,6,7,8}"\n', (7, 9)),
    ("[1, 2, 3, 4]\n[5, 6, 7, 8]\n", (0, 1)),
    ("id;vector\n7;[1, 2, 3, 4]\n9;[5, 6, 7, 8]\n", (7, 9)),
    ('id,vector\n7,"[[1, 2, 3, 4]]"\n9,"[[5, 6, 7, 8]]"\n', (7, 9)),  # of shape (1, dim)
])
def test_a_cell_holds_the_vector(store, tmp, text, ids):
    taken(store, tmp, "a.csv", text, ids=ids)


def test_a_column_is_either_id_or_vector(store, tmp):
    # the first has no name, which may be an index; but it is the vector
    taken(store, tmp, "a.csv", ',x\n"[1, 2, 3, 4]",7\n"[5, 6, 7, 8]",9\n')
    refused("import", store.path, put(tmp, "b.csv", "v0,v1,v2,v3,x,y\n1,2,3,4,5,6\n"),
            "--id-column", "v1", says=["dim 5"])


def test_columns_that_are_chosen(store, tmp):
    text = ('id,doc,title_vec,body_vec\n0,7,"[9,9,9,9]","[1,2,3,4]"\n'
            '1,9,"[9,9,9,9]","[5,6,7,8]"\n')
    refused("import", store.path, put(tmp, "a.csv", text), says=["--vector-column"])
    taken(store, tmp, "a.csv", text, "--vector-column", "body_vec", "--id-column", "doc",
          ids=(7, 9))
    refused("import", store.path, tmp / "a.csv", "--vector-column", "doc", "--id-column", "doc",
            says=["both ID and vector"])
    refused("import", store.path, tmp / "a.csv", "--vector-column", "nobody",
            says=['no column "nobody"', "id, doc, title_vec, body_vec"])
    refused("import", store.path, tmp / "a.csv", "--vector-column", "doc",
            says=["dim 1"])
    taken(store, tmp, "v.csv", 'n,v\nx,"1 2 3 4"\ny,"5 6 7 8"\n', "--vector-column", "v",
          "--start-id", 7, ids=(7, 8, 9), rows=ROWS[[0, 1, 1]])
    refused("import", store.path, put(tmp, "e.csv", 'id,vector\n7,\n8,"[1,2,3,4]"\n'),
            says=["column \"vector\" holds ''"])
    refused("import", store.path, put(tmp, "b.csv", "1,2,3,4\n"), "--id-column", "a",
            says=["--id-column needs a first line"])
    refused("import", store.path, put(tmp, "c.txt", "w 1 2 3 4\n"), "--id-column", "a",
            says=["no columns with names"])


def test_elements_are_columns_among_others(store, tmp):
    said = taken(store, tmp, "a.csv", "id,label,emb_0,emb_1,emb_2,emb_3,year\n"
                 "7,x,1,2,3,4,1999\n9,y,5,6,7,8,2001\n", ids=(7, 9))
    assert "emb_0 to emb_3" in said
    taken(store, tmp, "b.csv", "v0,v1,v2,v3,id\n1,2,3,4,7\n5,6,7,8,9\n", ids=(7, 9))


def test_a_list_tells_the_delimiter_before_its_commas_do(store, tmp):
    """psql -At; by commas there are as many cells as the dimension."""
    taken(store, tmp, "a.csv", "7|[1,2,3,4]\n9|[5,6,7,8]\n", ids=(7, 9))


@pytest.mark.parametrize("key", ["doc [1]", "doc [1] b", "a {b}", "{x", "[draft]", "{no}", "a [1, 2",
                                 "a [1] [2]"])
def test_a_key_with_brackets_is_no_list(store, tmp, key):
    """By its blanks there was a list, and each line was taken apart by them."""
    quoted = f'"{key}"' if "," in key or key[0] in "[{" else key
    quiverfs("import", store.path, put(tmp, "a.csv", f"{quoted},1,2,3,4\nb,5,6,7,8\n"),
             "--keys", tmp / "keys")
    same(exported(store, tmp)[0], ROWS)
    assert (tmp / "keys").read_text() == f"{key}\nb\n"


def test_a_last_cell_that_is_missing_is_no_comma_too_many(store, tmp):
    refused("import", store.path, put(tmp, "a.csv", ",0,1,2,3\n0,1,2,3,\n"),
            says=["row 0", "column 5 is empty"])


@pytest.mark.parametrize("dtype", ["f4", "u1"])
@pytest.mark.parametrize("delimiter", ["comma", "space", "tab"])
def test_a_first_row_that_counts_comes_back_with_its_key(stores, tmp, dtype, delimiter):
    """It was taken for the names of columns, as pandas numbers them."""
    store, again = (stores.create(dim=3, dtype=dtype, name=name) for name in ("a", "b"))
    rows = numpy.array([[0, 1, 2], [0, 1, 3]], dtype)
    numpy.save(tmp / "in.npy", rows)
    (tmp / "keys").write_text("x\ny\n")
    quiverfs("import", store.path, tmp / "in.npy")
    quiverfs("export", store.path, tmp / "out.csv", "--keys", tmp / "keys", "--delimiter", delimiter)
    quiverfs("import", again.path, tmp / "out.csv", "--keys", tmp / "again")
    same(exported(again, tmp)[0], rows)
    assert (tmp / "again").read_text() == "x\ny\n"


def test_ids_of_databases_are_in_capitals(store, tmp):
    rows = '{"ID": 7, "vector": [1, 2, 3, 4]}\n{"ID": 9, "vector": [5, 6, 7, 8]}\n'
    taken(store, tmp, "a.jsonl", rows, ids=(7, 9))


def test_the_first_element_is_no_id_where_a_label_stands_behind(stores, tmp):
    said = taken(stores.create(dim=4, name="a"), tmp, "a.csv",
                 "f0,f1,f2,f3,label\n1,2,3,4,0\n5,6,7,8,1\n")
    assert "f0 to f3" in said
    # names of R, which tell nothing: the first of dim + 1 columns is the ID
    taken(stores.create(dim=4, name="b"), tmp, "b.csv",
          "V1,V2,V3,V4,V5\n7,1,2,3,4\n9,5,6,7,8\n", ids=(7, 9))


@pytest.mark.parametrize("cell, says", [
    ('"[1, 2, 3]"', "3 elements, 4 are needed"),
    ('"[1, 2, 3, 4, 5]"', "more than 4"),
    ('"[1 2 ... 4]"', "cut short"),
    ('"[1, 2, 3, None]"', "is not a number"),
    ('"[1, 2, 3, 4] x"', "follows its list"),
    ('"[1, 2, 3, 4"', "ends without ']'"),
    ("", "column 2 is empty"),
    ('"[1, 2, 3, 4]', "never closed"),
])
def test_a_list_that_is_wrong(store, tmp, cell, says):
    text = 'id,vector\n7,"[1,2,3,4]"\n8,' + cell + "\n"
    refused("import", store.path, put(tmp, "a.csv", text), says=["row 1", says])
    assert count(store) == 1


def test_csv_out_with_names_and_back(store, tmp):
    keys = put(tmp, "keys", 'plain\nwith, "quotes"\n')
    quiverfs("import", store.path, put(tmp, "a.csv", "1,2,3,4\n5,6,7,8\n"))
    for words, first in ([], "id,v0,v1,v2,v3"), (["--vector-column", "embedding"], "id,embedding"):
        quiverfs("export", store.path, tmp / "out.csv", "--header", "yes", *words)
        assert (tmp / "out.csv").read_text().splitlines()[0] == first
        taken(store, tmp, "back.csv", (tmp / "out.csv").read_bytes())
        quiverfs("export", store.path, tmp / "out.tsv", *words)
        assert (tmp / "out.tsv").read_text().count("\t") == (3 if words else 8)
        taken(store, tmp, "back.tsv", (tmp / "out.tsv").read_bytes())
    quiverfs("export", store.path, tmp / "keyed.csv", "--keys", keys)
    assert (tmp / "keyed.csv").read_text().splitlines() == [
        "plain,1,2,3,4", '"with, ""quotes""",5,6,7,8']
    taken(store, tmp, "keyed.csv", (tmp / "keyed.csv").read_bytes(), "--keys", tmp / "again")
    assert (tmp / "again").read_bytes() == keys.read_bytes()


def little_processor_time():
    """For a program that shall not look at the same again and again, which would take hours. A limit
    by the clock would find a busy machine, too."""
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


HOSTILE = ["[," * 2000000, '"\n' + '""\n' * 1000000, "," * 4000000, "{" * 4000000,
           '"' * 4000001, ("#" * 1000 + "\n") * 4000 + "x"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_line_takes_no_long_time(store, tmp, text):
    path = put(tmp, "a.csv", text + "\n1,2,3,4\n")
    refused("import", store.path, path, says=["a.csv"], preexec_fn=little_processor_time)


# ---- JSON -------------------------------------------------------------------


OTHERS = ['"hash": 18446744073709551615', '"big": ' + "9" * 400, '"score": NaN', '"a": -Infinity',
          r'"text": "a\u0000b"', r'"text": "\ud83d"', '"t": 1, "t": 2', r'"\u0041": "\"]}"',
          '"deep": ' + "[" * 300 + "]" * 300, '"o": {"id": 3, "vector": [9]}']


@pytest.mark.parametrize("member", OTHERS, ids=range(len(OTHERS)))
@pytest.mark.parametrize("pattern", ['{%s, "id": 7, "vector": [1, 2, 3, 4]}',
                                     '{"id": 7, "vector": [1, 2, 3, 4], %s}'])
def test_members_that_nobody_asked_for_refuse_no_line(store, tmp, member, pattern):
    taken(store, tmp, "a.jsonl", pattern % member + "\n", ids=[7], rows=ROWS[:1])


def test_an_id_beyond_63_bits_is_a_number_too(store, tmp):
    taken(store, tmp, "a.jsonl", '{"id":9223372036854775808,"vector":[1,2,3,4]}\n',
          ids=[2**63], rows=ROWS[:1])


def test_numbers_are_rounded_once(stores, tmp):
    # halfway between two floats, and a little more: by way of a double it would go down
    text = "1.00000005960464477540"
    right = numpy.nextafter(numpy.float32(1), numpy.float32(2))
    assert numpy.float32(float(text)) == 1
    store = stores.create(dim=1)
    quiverfs("import", store.path, put(tmp, "a.jsonl", '{"vector": [%s]}\n' % text))
    assert exported(store, tmp)[0][0, 0] == right


JSON = '{"id": 7, "vector": [1, 2, 3, 4]}', '{"id": 9, "vector": [5, 6, 7, 8]}'


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("text, ids", [
    ("[%s,\n%s]" % JSON, (7, 9)),
    ("\n [ %s , %s ] \n\n" % JSON, (7, 9)),
    (json.dumps([json.loads(line) for line in JSON], indent=4), (7, 9)),
    ("\n".join(json.dumps(json.loads(line), indent=1) for line in JSON), (7, 9)),  # jq .
    ("%s\r\n%s\r\n" % JSON, (7, 9)),
    ("[[1, 2, 3, 4], [5, 6, 7, 8]]", (0, 1)),
    ("[1, 2, 3, 4]\n[5, 6, 7, 8]\n", (0, 1)),
])
def test_json_of_many_shapes(store, tmp, name, text, ids):
    taken(store, tmp, name, text, ids=ids)


def test_an_array_from_a_pipe_takes_no_memory(stores):
    store = stores.create(dim=64)
    row = "{\"id\":%d,\"text\":\"" + "x" * 2000 + "\",\"embedding\":[" + ",".join(["0.5"] * 64) + "]}"
    # as json.dump writes it: all in one line
    feed = subprocess.Popen(["python3", "-c", "print('[', end=''); [print(%r %% i, end=', ') for i in "
                             "range(100000)]; print(%r %% 100000 + ']')" % (row, row)],
                            stdout=subprocess.PIPE)
    done = subprocess.run(["/usr/bin/time", "-f", "%M", QUIVERFS, "import", store.path, "-",
                           "--format", "json"], stdin=feed.stdout, capture_output=True, check=True)
    assert feed.wait() == 0 and b"100001 vectors" in done.stdout
    assert int(done.stderr.split()[-1]) < 150 << 10  # KiB, also under a sanitizer; the text is 230 MB


HOSTILE_JSON = ["[" * 4000000, '{"a":' * 800000, "[" + "1," * 4000000, " " * 9000000 + "x",
                '{"t":"' + "x" * 9000000, "[" + " " * 9000000 + "x",
                "{" + ",".join('"\\u0076%d":1' % i for i in range(200000)) + "}"]


@pytest.mark.parametrize("text", HOSTILE_JSON, ids=range(len(HOSTILE_JSON)))
def test_hostile_json_takes_no_long_time(store, tmp, text):
    refused("import", store.path, put(tmp, "a.json", text), says=["a.json"],
            preexec_fn=little_processor_time)
    refused("import", store.path, "-", "--format", "json", stdin=text.encode(), says=["input"],
            preexec_fn=little_processor_time)


@pytest.mark.parametrize("text, says", [
    ("[%s" % JSON[0], "ends before its array does"),
    ("[%s %s]" % JSON, "expected ',' or ']'"),
    ("[%s,]" % JSON[0], "expected another element"),
    ("[%s] x" % JSON[0], "more text after its array"),
    ("[%s, 7]" % JSON[0], "it is not an object, but the first row is"),
    ("[%s, {'id': 1}]" % JSON[0], "not JSON"),
    ("[%s, {\"id\": 1" % JSON[0], "ends too early"),
    (JSON[0] + "\n" + JSON[1][:-4], "ends too early"),
    (JSON[0] + "\n" + JSON[1] + " x", "'x' at character"),
    (JSON[0] + '\n{"id": 8}', 'no array "vector"'),
    (JSON[0] + '\n{"id": 8, "vector": [1, 2, 3, null]}', "element 3 of its vector, 'null'"),
    (JSON[0] + '\n{"id": 8, "vector": [1, 2, 0x3, 4]}', "element 2"),
    (JSON[0] + '\n{"id": 8, "vector": [[1, 2, 3, 4]]}', "is an array"),
    (JSON[0] + '\n{"id": 8, "vector": [1,2,3,4], "vector": [1,2,3,4]}', "two vectors"),
    (JSON[0] + '\n{"id": null, "vector": [1, 2, 3, 4]}', 'its "id" is null'),
    (JSON[0] + '\n{"id": "a-b", "vector": [1, 2, 3, 4]}', "'a-b' is not a whole number"),
])
def test_json_that_is_wrong(store, tmp, text, says):
    refused("import", store.path, put(tmp, "a.json", text), says=[says])
    assert count(store) <= 1


@pytest.mark.parametrize("text, words, ids", [
    ('{"id": %d, "values": [%s], "metadata": {}}', [], (7, 9)),  # Pinecone
    ('{"_id": %d, "embedding": [%s]}', [], (7, 9)),
    ('{"_id": %d, "_source": {"v": [%s]}}', ["--vector-column", "_source.v"], (7, 9)),
    ('{"id": 1, "doc": {"n": %d}, "a.b": [%s]}',
     ["--vector-column", "a.b", "--id-column", "doc.n"], (7, 9)),
    ('{"id": %d, "response": {"data": [{"embedding": [%s]}]}}',
     ["--vector-column", "response.data.0.embedding"], (7, 9)),
    ('{"id": %d, "embedding": "[%s]"}', [], (7, 9)),  # Supabase: pgvector by PostgREST
    (r'{"i\u0064": %d, "\u0076ector": [%s]}', [], (7, 9)),
    ('{"id": "%d", "vector": [%s]}', [], (7, 9)),
])
def test_members_by_name_and_path(store, tmp, text, words, ids):
    lines = [text % (i, ", ".join(map(str, row))) for i, row in zip((7, 9), ROWS.tolist())]
    taken(store, tmp, "a.jsonl", "\n".join(lines) + "\n", *words, ids=ids)
    taken(store, tmp, "a.json", "[" + ",".join(lines) + "]", *words, ids=ids)


def test_a_member_that_is_not_there(store, tmp):
    path = put(tmp, "a.jsonl", '{"key": 1, "vec": [1, 2, 3, 4]}\n')
    refused("import", store.path, path, says=["--vector-column NAME", "key, vec"])
    refused("import", store.path, path, "--vector-column", "vec", "--id-column", "id",
            says=['no "id" for --id-column', "key, vec"])


@pytest.mark.parametrize("text, says", [
    ('{"vector": [{"x": 1}]}', '"vector" holds objects'),
    ('{"vector": [[["x"]]]}', '"vector" holds arrays'),
    ('{"data": [{"text": "x"}], "model": "m"}', "data, model"),
    ('"text"', "expected rows"),
    ("7", "expected rows"),
])
def test_json_that_is_no_rows(store, tmp, text, says):
    refused("import", store.path, put(tmp, "a.json", text), says=[says])


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("escaped", [False, True])
def test_vectors_in_base64(stores, tmp, dim, escaped):
    """encoding_format="base64" of OpenAI, which its own SDK asks for; PHP escapes the slashes."""
    store = stores.create(dim=dim)
    bits = numpy.array([[0xfffebfff, 0x3effffff, 0xc0ffff3f, 0x00000001],
                        [0x3f800000, 0x7f800000, 0x80000000, 0xbfbfbfbf]], "<u4")
    rows = numpy.ascontiguousarray(bits.view("<f4")[:, :dim])
    lines = [json.dumps({"index": i, "embedding": base64.b64encode(row.tobytes()).decode()})
             for i, row in enumerate(rows)]
    text = "\n".join(lines).replace("/", "\\/" if escaped else "/")
    assert "/" in text
    done = quiverfs("import", store.path, put(tmp, "a.jsonl", text))
    assert "note: its vectors are read as little-endian float32 in base64" in done.stderr
    found, ids = exported(store, tmp)
    assert ids == [0, 1] and found.shape == rows.shape
    nan = numpy.isnan(rows)
    assert (numpy.isnan(found) == nan).all() and \
        (found.view("<u4")[~nan] == rows.view("<u4")[~nan]).all()


@pytest.mark.parametrize("value", ["AAAA", "a note", "", "A" * 20 + "==", "A" * 23 + "=",
                                   "A" * 21 + "=" + "A" * 2, "A" * 22 + "=" * 6, "A" * 24])
def test_a_text_that_is_no_vector_is_told_as_that(store, tmp, value):
    """Exactly dim times four bytes, and nothing beside."""
    refused("import", store.path, put(tmp, "a.jsonl", json.dumps({"embedding": value})),
            says=['"embedding" is a text', "4 float32 in base64"])
    lines = [json.dumps({"embedding": text}) for text in ([1, 2, 3, 4], "A" * 22 + "==", value)]
    refused("import", store.path, put(tmp, "a.jsonl", "\n".join(lines)),
            says=["row 2", '"embedding" is a text'])


ANSWER = [{"id": 7, "vector": [1, 2, 3, 4]}, {"id": 9, "vector": [5, 6, 7, 8]}]
LISTS = [row["vector"] for row in ANSWER]


@pytest.mark.parametrize("answer, where, ids", [
    ({"object": "list", "data": [{"object": "embedding", "index": i, "embedding": row}
                                 for i, row in enumerate(LISTS)],
      "model": "m", "usage": {"total_tokens": 5}}, ".data", (0, 1)),  # OpenAI
    ({"id": "5c2f", "texts": ["a", "b"], "embeddings": LISTS, "meta": {}},
     ".embeddings", (0, 1)),  # Cohere
    ({"id": "5c2f", "embeddings": {"float": LISTS}, "texts": ["a", "b"]},
     ".embeddings.float", (0, 1)),  # Cohere, version 2
    ({"embeddings": [{"values": row} for row in LISTS]}, ".embeddings", (0, 1)),  # Gemini
    ({"model": "m", "embeddings": LISTS}, ".embeddings", (0, 1)),  # Ollama
    ({"matches": [{"id": str(row["id"]), "score": 0.5, "values": row["vector"]}
                  for row in ANSWER], "namespace": ""}, ".matches", (7, 9)),  # Pinecone: query
    ({"vectors": {str(row["id"]): {"id": str(row["id"]), "values": row["vector"]}
                  for row in ANSWER}, "namespace": ""}, ".vectors", (7, 9)),  # Pinecone: fetch
    ({"ids": ["7", "9"], "embeddings": LISTS, "documents": ["a", "b"], "metadatas": [{}, {}]},
     ".embeddings", (7, 9)),  # Chroma: get
    ({"ids": [["7", "9"]], "embeddings": [LISTS], "distances": [[0, 1]]},
     ".embeddings", (7, 9)),  # Chroma: query
    ({"id": [7, 9], "vector": LISTS}, ".vector", (7, 9)),  # pandas: to_dict("list")
    ({"result": {"points": ANSWER, "next_page_offset": None}, "status": "ok"},
     ".result.points", (7, 9)),  # Qdrant: scroll
    ({"took": 1, "hits": {"total": {"value": 2}, "hits": [
        {"_id": str(row["id"]), "_source": {"embedding": row["vector"]}} for row in ANSWER]}},
     ".hits.hits", (7, 9)),  # Elasticsearch
    ({"my rows": ANSWER}, '."my rows"', (7, 9)),
    ({"columns": ["id", "text", "vector"], "index": [0, 1],
      "data": [[row["id"], "a", row["vector"]] for row in ANSWER]},
     ".data", (7, 9)),  # pandas: to_json(orient="split")
    ({"columns": [0, 1, 2, 3], "index": [0, 1], "data": LISTS}, ".data", (0, 1)),
    ({"schema": {"fields": [{"name": "index"}], "primaryKey": ["index"]},
      "data": [{"index": i, **row} for i, row in enumerate(ANSWER)]}, ".data", (7, 9)),  # "table"
    ({"id": {"0": 7, "1": 9}, "vector": {"0": LISTS[0], "1": LISTS[1]}},
     ".vector", (7, 9)),  # pandas: to_json()
    ({"vector": {"0": LISTS[0], "1": LISTS[1]}}, ".vector", (0, 1)),
    ({"0": ANSWER[0], "1": ANSWER[1]}, ".", (7, 9)),  # orient="index"
])
@pytest.mark.parametrize("form", ["line", "lines", "array"])
def test_rows_within_one_object_are_told_with_what_takes_them_out(stores, tmp, answer, where, ids,
                                                                  form):
    """--vector-column, which the message named, cannot help."""
    text = json.dumps([answer] if form == "array" else answer,
                      indent=1 if form == "lines" else None)
    path = put(tmp, "a.json", text)
    said = refused("import", stores.create(dim=4).path, path,
                   says=[f"its rows in {where}; ", " FILE | quiverfs import STORE - --format jsonl"])
    assert "--vector-column" not in said and "\n" not in said.strip()
    if shutil.which("jq") is None:
        pytest.skip("there is no jq")
    program = said.split("jq -c '")[1].split("' FILE")[0]
    rows = subprocess.run(["jq", "-c", program, path], capture_output=True, check=True).stdout
    store = stores.create(dim=4, name="taken")
    more = ["--vector-column", "_source.embedding"] if "hits" in where else []
    quiverfs("import", store.path, "-", "--format", "jsonl", *more, stdin=rows)
    found, numbers = exported(store, tmp)
    same(found, ROWS)
    assert numbers == list(ids)


@pytest.mark.parametrize("indent", [None, 1])
def test_an_answer_that_is_too_long_to_be_looked_through(store, tmp, indent):
    answer = {"data": [{"embedding": LISTS[0], "text": "x" * 100}] * 40000}
    refused("import", store.path, put(tmp, "a.json", json.dumps(answer, indent=indent)),
            says=["longer than 4 MiB", "jq -c '.data[]' FILE"])


@pytest.mark.parametrize("row", [
    {"id": 1, "_source": {"v": [1, 2, 3, 4]}},
    {"question": {"v": [1, 2, 3, 4]}, "answer": {"v": [1, 2, 3, 4]}},
    {"id": 1, "tags": ["a", "b"], "parts": [{"text": "a"}], "v": [1, 2, 3, 4]},
    {"id": 1, "box": [[0, 0], [1, 1]], "v": [1, 2, 3, 4]},
    {"it's": LISTS}, {"x" * 60: LISTS}])
def test_a_row_is_not_taken_for_an_answer(store, tmp, row):
    refused("import", store.path, put(tmp, "a.jsonl", json.dumps(row) + "\n"),
            says=["--vector-column NAME"])


def test_an_id_that_comes_late_is_told_before_anything_is_numbered(stores, tmp):
    lines = ['{"vector": [1, 2, 3, 4]}'] * 5000 + ['{"id": 50, "vector": [5, 6, 7, 8]}']
    for name, text in (("a.jsonl", "\n".join(lines)), ("a.json", "[" + ",\n".join(lines) + "]")):
        store = stores.create(dim=4, name=name + ".store")
        refused("import", store.path, put(tmp, name, text), says=["line 5001", '"id", 50'])
        assert count(store) == 0
        refused("import", store.path, "-", "--format", "jsonl", stdin=text.encode(),
                says=["row 5000", '"id", 50'])
        quiverfs("import", store.path, tmp / name, "--start-id", 0)
        assert count(store) == 5001
        quiverfs("import", store.path, put(tmp, name, "\n".join(lines[:-1])))


def test_python_s_nan_is_a_number_of_json_as_of_csv(store, tmp):
    path = put(tmp, "a.jsonl", '{"vector": [NaN, Infinity, -Infinity, 1]}\n')
    taken(store, tmp, "a.jsonl", path.read_bytes(), ids=[0],
          rows=numpy.array([[numpy.nan, numpy.inf, -numpy.inf, 1]], "<f4"))
    refused("import", store.path, path, "--reject-nonfinite", says=["element 0 is NaN"])


def test_json_out_as_one_array_with_keys_and_other_names(store, tmp):
    keys = put(tmp, "keys", 'a "b" \\ c\ntab\tü\n')
    quiverfs("import", store.path, put(tmp, "a.csv", "1,2,3,4\n5,6,7,8\n"))
    for name in "out.json", "out.jsonl":
        quiverfs("export", store.path, tmp / name, "--keys", keys, "--vector-column", "values",
                 "--id-column", "_id")
        text = (tmp / name).read_text()
        rows = json.loads(text) if name == "out.json" else list(map(json.loads, text.splitlines()))
        assert rows == [{"_id": 'a "b" \\ c', "values": [1, 2, 3, 4]},
                        {"_id": "tab\tü", "values": [5, 6, 7, 8]}]
        taken(store, tmp, name, text, "--keys", tmp / ("again" + name))
        assert (tmp / ("again" + name)).read_bytes() == keys.read_bytes()
    refused("export", store.path, tmp / "out.json", "--keys", put(tmp, "bad", b"\xff\nx\n"),
            says=["not UTF-8"])


# ---- words ------------------------------------------------------------------


def test_words_come_back_or_are_refused(stores, tmp):
    store, other = stores.create(dim=4), stores.create(dim=4, name="other")
    quiverfs("import", store.path, put(tmp, "a.csv", "1,2,3,4\n5,6,7,8\n"))
    # of two marks the first is that of the file of keys, and no part of its first word
    words = ["Windows 95", " ", "\t", "  ", " x", "new york", "1984", "v 2.0", "x ", "a b 1e3",
             "\ufeff\ufeffx", "a\tb"]
    for name in "out.vec", "out.txt":
        back = []
        for word in words:
            keys = put(tmp, "keys", f"{word}\nother\n")
            done = quiverfs("export", store.path, tmp / name, "--words", keys, status=None)
            if done.returncode != 0:
                assert "cannot be read back" in done.stderr
                continue
            back.append(word)
            (tmp / "again").unlink(missing_ok=True)
            quiverfs("import", other.path, tmp / name, "--words", tmp / "again")
            assert (tmp / "again").read_bytes() == keys.read_bytes()
            same(exported(other, tmp)[0], ROWS)
        assert {" x", "new york", "1984", "a\tb"} <= set(back)
        assert not {"v 2.0", "x ", "a b 1e3"} & set(back)
        assert ("Windows 95" in back) == (name == "out.vec") == (" " in back)


@pytest.mark.parametrize("line", ["  5 6 7 8", "\t 5 6 7 8"])
def test_words_of_spaces_as_published(store, tmp, line):
    # GoogleNews as text, crawl-300d-2M.vec
    taken(store, tmp, "a.vec", f"2 4\nof 1 2 3 4\n{line}\n")
