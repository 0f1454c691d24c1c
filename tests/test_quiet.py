import subprocess
import sys


def run(code):
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True)


def test_tensorflow_loads_without_a_word_and_stderr_works_again():
    code = (
        "import sys; from srcnn_tf.quiet import load_tensorflow; load_tensorflow();"
        "import tensorflow as tf; tf.constant(1.0) + 1; print('back', file=sys.stderr)"
    )
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "back\n")


def test_what_was_said_is_shown_when_tensorflow_cannot_be_imported(tmp_path):
    broken = 'import os; os.write(2, b"a library is missing\\\\n"); raise ImportError("broken")'
    code = (
        f"import sys; open({str(tmp_path / 'tensorflow.py')!r}, 'w').write('{broken}');"
        f"sys.path.insert(0, {str(tmp_path)!r}); from srcnn_tf.quiet import load_tensorflow;"
        "load_tensorflow()"
    )
    done = run(code)
    assert done.returncode == 1
    assert "a library is missing\n" in done.stderr
    assert "ImportError: broken" in done.stderr
