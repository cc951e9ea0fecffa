"""Text where the operator looks for JSON: in annotations, and in the last messages of containers."""

JSONS: dict[str, str] = {
    "empty": "",
    "no JSON": "x",
    "null": "null",
    "a list": "[]",
    "a text": '"x"',
    "a number": "3",
    "deep": "[" * 4000,
    "deep objects": '{"a":' * 4000,
    "5,000 digits": "9" * 5000,
    "two lines": "a\nb\n",
    **{
        f"with {fields[:40]}": f'{{"revision": "REVISION", "message": "m", "reason": "PlannerFailed", {fields}}}'
        for fields in (
            '"percent": 1e999, "doing": "x"',
            '"percent": NaN, "doing": "x"',
            '"percent": -Infinity, "doing": "x"',
            '"percent": "9", "doing": {}',
            '"percent": [], "doing": null',
            f'"percent": {"9" * 4000}, "doing": "x"',
            '"count": 1e999',
            '"count": 1000000000',
            '"count": -1',
            '"count": []',
            '"count": 1, "failure": 3',
            '"count": 1, "failure": {"reason": [], "message": 1, "container": 2}',
            '"count": 1, "failure": {"reason": "InvalidModel", "message": {}, "container": "plan"}',
            '"count": 1, "failure": {"reason": "InvalidModel", "message": "m", "container": []}',
            '"message": {}',
            '"message": []',
            '"message": "m", "reason": []',
            '"message": "m", "reason": "NoSuch"',
            f'"message": "{"m" * 4000}"',
            '"permanent": []',
            '"permanent": "false"',
        )
    },
}
"""What is not to be believed, by what it is; REVISION stands for the present one."""
