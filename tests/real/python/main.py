"""Imports what the request names, uses a little of it, and says what became of each."""
import json
import sys

sys.path.insert(0, "/package/lib")


def use_numpy(numpy):
    return float(numpy.linalg.det(numpy.eye(3)))


def use_pandas(pandas):
    return int(pandas.DataFrame({"a": [1, 2], "b": [3, 4]}).sum().sum())


def use_sklearn(sklearn):
    from sklearn.linear_model import LinearRegression

    return round(float(LinearRegression().fit([[1], [2]], [2, 4]).predict([[3]])[0]))


def use_tqdm(tqdm):
    return sum(tqdm.tqdm(range(4)))


def use_joblib(joblib):
    return joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(abs)(n) for n in (-1, -2))


def use_pydantic(pydantic):
    return pydantic.create_model("M", n=(int, ...))(n="7").n


def use_cryptography(cryptography):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return len(Ed25519PrivateKey.generate().sign(b"x"))


def use_PIL(PIL):
    from PIL import Image

    return list(Image.new("RGB", (2, 2), "red").resize((1, 1)).getpixel((0, 0)))


def use_jinja2(jinja2):
    return jinja2.Template("{{ a }}").render(a="b")


def use_markdown(markdown):
    return markdown.markdown("*a*")


def try_one(name):
    try:
        module = __import__(name)
        use = globals().get(f"use_{name}")
        return use(module) if use else "imported"
    except BaseException as error:
        return {"error": repr(error)}


request = json.loads(sys.stdin.readline())["request"]
data = {name: try_one(name) for name in request["payload"]["content"].split(" ")}
result = {"kind": "json", "schema_ref": "tried/1", "data": data}
print(json.dumps({"type": "result", "response": {"request_id": request["request_id"], "status": "ok", "result": result}}))
