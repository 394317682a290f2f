"""Valid documents that several tests share."""

from __future__ import annotations

HEAD = "version 1.0;\n"
EXTENSIONS = "version 1.0;\nextension KHR_enable_fragment_definitions;\nextension KHR_enable_operator_expressions;\n"

MINIMAL = """version 1.0;
graph net( x ) -> ( y )
{
    x = external(shape = [1, 3, 8, 8]);
    w = variable(shape = [4, 3, 3, 3], label = 'conv/w');
    b = variable(shape = [1, 4], label = 'conv/b');
    c = conv(x, w, b, padding = [(1,1), (1,1)], stride = [2,2]);
    r = relu(c);
    y = avg_pool(r, size = [1,1,4,4], stride = [1,1,4,4], border = 'ignore', padding = [(0,0), (0,0), (0,0), (0,0)]);
}
"""

FLAT = """# A comment with \u00e4 letters
version 1.0;

graph net(a, b, k) -> (y, z, i, parts)
{
    a = external<scalar>(shape = [2, 4, 6]);   # trailing
    b = external(shape = [2, 4, 6]);
    k = external<integer>(shape = [3]);
    c = constant<integer>(shape = [2], value = [-1, 9223372036854775807]);
    m, v = moments(a, axes = [1, 2]);
    [p, q] = split(b, axis = 1, ratios = [1, 3]);
    [u, w] = copy_n(a, times = 2);
    s = add_n([u, w, b]);
    g = gather(s, k, axis = 2);
    less = lt(a, b);
    t = select(less, a, 0.0);
    y = clamp(t, -1.5e-3, 1e6);
    z = concat([p, q], axis = 1);
    i = argmax_reduce(z, axes = [2]);
    parts = slice(g, axes = [0], begin = [0], end = [1], stride = [1]);
}
"""

COMPOSITIONAL = (
    EXTENSIONS
    + """
fragment double(x: tensor<scalar>) -> (y: tensor<scalar>) { y = x + x; }
fragment scaled<? = scalar>(x: tensor<?>, by: integer[] = [1, 2]) -> (y: tensor<?>)
{
    y = tile<?>(x, repeats = [for b in by yield b * 2]);
}
fragment pick(x: tensor<scalar>, second: logical = false) -> (y: tensor<scalar>, n: tensor<scalar>)
{
    pair = [double(x), (-x)];
    y = pair[1] if second else pair[0];
    n = x;
}
fragment custom(x: tensor<scalar>, name: string = "it's") -> (y: tensor<scalar>);
graph net(x) -> (y, z, c)
{
    x = external(shape = [1, 2]);
    p, q = pick(x, second = true);
    y = (p * 2.0 - q / (x + 1.0)) ^ 2.0;
    s = scaled(y, by = [1] * 2);
    z = max(s, 0.0) if length_of([1, 2]) == 2 else s;
    c = custom(z);
}
"""
)
