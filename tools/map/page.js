"use strict";
(() => {
	const $ = (id) => document.getElementById(id);
	const meta = JSON.parse($("meta").textContent);

	/* ---- what is drawn ------------------------------------------------ */

	/* Numbers of a block of base64, little-endian as everything in the file. */
	function block(name, Kind) {
		const element = $("data-" + name);
		if (!element)
			return new Kind(0);
		const text = atob(element.textContent.trim()), bytes = new Uint8Array(text.length);
		for (let i = 0; i < text.length; i++)
			bytes[i] = text.charCodeAt(i);
		element.remove();
		return new Kind(bytes.buffer);
	}
	const Ids = meta.idBytes === 8 ? BigUint64Array : Uint32Array;
	const count = meta.count, places = block("places", Uint16Array);
	const ids = block("ids", Ids), others = block("others", Ids);
	const colours = meta.colours === "scale" ? block("colours", Uint16Array) : block("colours", Uint8Array);
	const asked = block("asked", Uint32Array), found = block("found", Uint8Array);
	const near = block("near", Uint32Array), distances = block("distances", Float32Array);
	const NONE = meta.colours === "scale" ? 65535 : 255;
	const idOf = (i) => String(i < count ? ids[i] : others[i - count]);
	const labelOf = (i) => (i < count ? meta.labels && meta.labels[i] : meta.otherLabels && meta.otherLabels[i - count]) || "";
	const nameOf = (i) => labelOf(i) || idOf(i);

	/* Where among the points asked about point i is, or -1. */
	function askedAt(i) {
		let low = 0, high = asked.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (asked[middle] < i)
				low = middle + 1;
			else
				high = middle;
		}
		return asked[low] === i ? low : -1;
	}
	function neighbours(i) {
		const at = askedAt(i), list = [];
		for (let j = 0; at >= 0 && j < found[at]; j++)
			list.push({ at: near[at * meta.k + j], distance: distances[at * meta.k + j] });
		return list;
	}

	/* ---- colours: Okabe and Ito's, and viridis, which all eyes tell apart --- */

	const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#B8A500", "#7F6BC4"];
	const DARK = ["#4BA3E3", "#F2B134", "#2FC79A", "#E79CC2", "#F27A3A", "#8AD0FA", "#EFE35A", "#A798E8"];
	const SCALE = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
	const SHAPES = 4;
	let dark = false;
	const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
	const GREY = () => (dark ? [112, 120, 134] : [158, 162, 170]);
	const groupColour = (group) => (meta.other === group ? GREY() : rgb((dark ? DARK : PALETTE)[group % PALETTE.length]));
	const groupShape = (group) => (meta.other === group ? 0 : Math.floor(group / PALETTE.length) % SHAPES);
	function scaleColour(share) {
		/* of dark ground the dark end, and of light the light one, would not be seen */
		const at = (dark ? 0.14 + 0.86 * share : 0.92 * share) * (SCALE.length - 1);
		const low = Math.min(Math.floor(at), SCALE.length - 2), part = at - low;
		return SCALE[low].map((one, k) => Math.round(one + (SCALE[low + 1][k] - one) * part));
	}
	const hidden = new Set();
	const isHidden = (i) => meta.colours === "groups" && hidden.has(colours[i]);
	function pointColour(i) {
		if (meta.colours === "groups")
			return colours[i] === NONE ? GREY() : groupColour(colours[i]);
		if (meta.colours === "scale")
			return colours[i] === NONE ? GREY() : scaleColour(colours[i] / 65534);
		return groupColour(0);
	}

	/* ---- the view ------------------------------------------------------- */

	const canvas = $("points"), over = $("over"), pen = over.getContext("2d");
	const ZOOM_MAX = 400;
	const view = { x: 0.5, y: 0.5, zoom: 1 };
	let width = 1, height = 1, ratio = 1;
	const fit = () => 0.86 * Math.min(width / (meta.wide || 1), height / (meta.high || 1));
	const unit = () => fit() * view.zoom; /* pixels that all of the map takes */
	const toX = (i) => (places[2 * i] / 65535 - view.x) * unit() + width / 2;
	const toY = (i) => (view.y - places[2 * i + 1] / 65535) * unit() + height / 2;
	const middle = () => [(meta.wide || 1) / 2, (meta.high || 1) / 2];
	const size = () => Math.min(18, Math.max(2.4, 38 / Math.pow(Math.max(count, 30), 0.2) - 0.6) * Math.pow(view.zoom, 0.28));

	/* ---- drawing: WebGL, else a plain canvas ------------------------------ */

	const VERTEX = `attribute vec2 place; attribute vec4 colour; attribute float shape;
		uniform vec2 scale, offset; uniform mediump float size; varying vec4 tint; varying float kind;
		void main() {
			gl_Position = vec4((place - offset) * scale, 0.0, 1.0);
			gl_PointSize = size; tint = colour; kind = shape;
		}`;
	const FRAGMENT = `precision mediump float; uniform mediump float size; varying vec4 tint; varying float kind;
		void main() {
			vec2 at = (gl_PointCoord - 0.5) * 2.0; vec2 a = abs(at); float r;
			if (kind < 0.5) r = length(at);
			else if (kind < 1.5) r = (a.x + a.y) * 0.95;
			else if (kind < 2.5) r = max(a.x, a.y) * 1.15;
			else r = max(a.x * 0.92 - at.y * 0.5, at.y) * 1.25 + 0.05;
			float alpha = tint.a * (1.0 - smoothstep(1.0 - 2.2 / size, 1.0, r));
			gl_FragColor = vec4(tint.rgb * alpha, alpha);
		}`;
	let gl = null, program = null, where = {}, uniforms = {}, paints = null, shapes = null;

	function compile(kind, source) {
		const shader = gl.createShader(kind);
		gl.shaderSource(shader, source);
		gl.compileShader(shader);
		return shader;
	}
	function buffer(name, data, parts, kind, normal) {
		const at = gl.getAttribLocation(program, name);
		gl.bindBuffer(gl.ARRAY_BUFFER, where[name] || (where[name] = gl.createBuffer()));
		gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
		gl.enableVertexAttribArray(at);
		gl.vertexAttribPointer(at, parts, kind, normal, 0, 0);
	}
	function startGl() {
		gl = canvas.getContext("webgl", { alpha: true, antialias: false });
		if (!gl)
			return;
		where = {};
		program = gl.createProgram();
		gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
		gl.attachShader(program, compile(gl.FRAGMENT_SHADER, FRAGMENT));
		gl.linkProgram(program);
		gl.useProgram(program);
		gl.enable(gl.BLEND);
		gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
		for (const name of ["scale", "offset", "size"])
			uniforms[name] = gl.getUniformLocation(program, name);
		buffer("place", places, 2, gl.UNSIGNED_SHORT, true);
	}
	function paint() {
		const alpha = Math.round(255 * Math.min(0.95, Math.max(0.5, 1.5 - Math.log10(Math.max(count, 10)) * 0.19)));
		paints = paints || new Uint8Array(4 * count);
		shapes = shapes || new Uint8Array(count);
		for (let i = 0; i < count; i++) {
			const [r, g, b] = pointColour(i);
			paints[4 * i] = r;
			paints[4 * i + 1] = g;
			paints[4 * i + 2] = b;
			paints[4 * i + 3] = isHidden(i) ? 0 : meta.colours !== "plain" && colours[i] === NONE ? alpha >> 1 : alpha;
			shapes[i] = meta.colours === "groups" && colours[i] !== NONE ? groupShape(colours[i]) : 0;
		}
		if (gl) {
			buffer("colour", paints, 4, gl.UNSIGNED_BYTE, true);
			buffer("shape", shapes, 1, gl.UNSIGNED_BYTE, false);
		}
	}
	function drawPoints() {
		if (!gl) {
			drawPlain();
			return;
		}
		gl.viewport(0, 0, canvas.width, canvas.height);
		gl.clearColor(0, 0, 0, 0);
		gl.clear(gl.COLOR_BUFFER_BIT);
		gl.uniform2f(uniforms.scale, 2 * unit() / width, 2 * unit() / height);
		gl.uniform2f(uniforms.offset, view.x, view.y);
		gl.uniform1f(uniforms.size, size() * ratio);
		gl.drawArrays(gl.POINTS, 0, count);
	}
	/* Squares, pixel by pixel, which is faster than asking the browser for each. */
	let plain = null, image = null;
	function drawPlain() {
		const side = Math.max(1, Math.round(size() * 0.8 * ratio)), w = canvas.width, h = canvas.height;
		plain = plain || canvas.getContext("2d");
		if (!image || image.width !== w || image.height !== h)
			image = plain.createImageData(w, h);
		const pixels = new Uint32Array(image.data.buffer), inks = new Uint32Array(paints.buffer);
		pixels.fill(0);
		for (let i = 0; i < count; i++) {
			const x = Math.round(toX(i) * ratio - side / 2), y = Math.round(toY(i) * ratio - side / 2);
			if (paints[4 * i + 3] === 0 || x < 0 || y < 0 || x + side > w || y + side > h)
				continue;
			for (let row = y; row < y + side; row++)
				pixels.fill(inks[i], row * w + x, row * w + x + side);
		}
		plain.putImageData(image, 0, 0);
	}

	/* ---- labels, and what is chosen ---------------------------------------- */

	let chosen = -1, pointed = -1, labelled = [], labelTimer = 0;
	const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	let ink = {};

	/* Which labels fit beside one another: some points come first, always the same ones. */
	function chooseLabels() {
		labelled = [];
		if (!meta.labels)
			return;
		const cells = new Set(), most = Math.min(90, Math.round(width * height / 11000));
		const step = 7919 % Math.max(count, 1) || 1;
		for (let n = 0, i = 0; n < count && labelled.length < most; n++, i = (i + step) % count) {
			const x = toX(i), y = toY(i);
			if (!meta.labels[i] || isHidden(i) || x < 0 || y < 10 || x > width - 40 || y > height - 10)
				continue;
			const first = Math.floor(x / 26), last = Math.floor((x + 8 + 7 * Math.min(meta.labels[i].length, 24)) / 26), row = Math.round(y / 19);
			let free = true;
			for (let cell = first; free && cell <= last; cell++)
				free = !cells.has(row * 1000 + cell);
			if (!free)
				continue;
			for (let cell = first; cell <= last; cell++)
				cells.add(row * 1000 + cell).add((row + 1) * 1000 + cell).add((row - 1) * 1000 + cell);
			labelled.push(i);
		}
	}
	function write(text, x, y, strong) {
		const short = text.length > 28 ? text.slice(0, 27) + "\u2026" : text;
		pen.font = (strong ? "600 14px " : "12px ") + 'system-ui, "DejaVu Sans", sans-serif';
		pen.lineWidth = 3.5;
		pen.strokeStyle = ink.halo;
		pen.fillStyle = ink.text;
		pen.strokeText(short, x, y);
		pen.fillText(short, x, y);
	}
	function ring(i, radius, wide) {
		pen.beginPath();
		pen.arc(toX(i), toY(i), radius, 0, 2 * Math.PI);
		pen.lineWidth = wide + 2.5;
		pen.strokeStyle = ink.halo;
		pen.stroke();
		pen.lineWidth = wide;
		pen.strokeStyle = ink.accent;
		pen.stroke();
	}
	function drawOver() {
		const at = pointed >= 0 ? pointed : chosen, list = at >= 0 ? neighbours(at).filter((one) => one.at < count) : [];
		pen.setTransform(ratio, 0, 0, ratio, 0, 0);
		pen.clearRect(0, 0, width, height);
		pen.lineJoin = "round";
		for (const i of labelled)
			if (i !== at)
				write(meta.labels[i], toX(i) + size() / 2 + 3, toY(i) + 4, false);
		for (const one of list) {
			pen.beginPath();
			pen.moveTo(toX(at), toY(at));
			pen.lineTo(toX(one.at), toY(one.at));
			pen.lineWidth = 1.4;
			pen.strokeStyle = ink.accent;
			pen.globalAlpha = 0.75;
			pen.stroke();
			pen.globalAlpha = 1;
		}
		for (const one of list) {
			ring(one.at, size() / 2 + 2.5, 1.5);
			write(nameOf(one.at), toX(one.at) + size() / 2 + 6, toY(one.at) + 4, false);
		}
		if (chosen >= 0 && chosen !== at)
			ring(chosen, size() / 2 + 5, 2);
		if (at >= 0) {
			ring(at, size() / 2 + 4, 2.5);
			write(nameOf(at), toX(at) + size() / 2 + 9, toY(at) + 5, true);
		}
	}
	let asking = false;
	function draw() {
		if (asking)
			return;
		asking = true;
		requestAnimationFrame(() => {
			asking = false;
			drawPoints();
			drawOver();
		});
	}
	function moved() {
		draw();
		clearTimeout(labelTimer);
		labelTimer = setTimeout(() => {
			chooseLabels();
			draw();
		}, 90);
	}
	function resize() {
		width = Math.max(canvas.clientWidth, 1);
		height = Math.max(canvas.clientHeight, 1);
		ratio = Math.min(window.devicePixelRatio || 1, 3);
		for (const one of [canvas, over]) {
			one.width = Math.round(width * ratio);
			one.height = Math.round(height * ratio);
		}
		moved();
	}

	/* ---- which point is where: a grid ------------------------------------- */

	const SIDE = 256, starts = new Uint32Array(SIDE * SIDE + 1), order = new Uint32Array(count);
	const cellOf = (i) => (places[2 * i + 1] >> 8) * SIDE + (places[2 * i] >> 8);
	function fillGrid() {
		for (let i = 0; i < count; i++)
			starts[cellOf(i) + 1]++;
		for (let cell = 0; cell < SIDE * SIDE; cell++)
			starts[cell + 1] += starts[cell];
		const next = starts.slice();
		for (let i = 0; i < count; i++)
			order[next[cellOf(i)]++] = i;
	}
	/* The point nearest to a place on the screen, within `reach` pixels, or -1. */
	function pointAt(x, y, reach) {
		const px = (x - width / 2) / unit() + view.x, py = view.y - (y - height / 2) / unit(), by = reach / unit();
		const clamp = (one) => Math.max(0, Math.min(SIDE - 1, Math.floor(one * 65535 / 256)));
		let best = -1, least = by * by;
		for (let row = clamp(py - by); row <= clamp(py + by); row++)
			for (let at = starts[row * SIDE + clamp(px - by)]; at < starts[row * SIDE + clamp(px + by) + 1]; at++) {
				const i = order[at], dx = places[2 * i] / 65535 - px, dy = places[2 * i + 1] / 65535 - py;
				if (dx * dx + dy * dy <= least && !isHidden(i)) {
					least = dx * dx + dy * dy;
					best = i;
				}
			}
		return best;
	}

	/* ---- the card of a point: all of it text, nothing of it markup ----------- */

	function make(tag, text, parent) {
		const element = document.createElement(tag);
		element.textContent = text;
		parent.append(element);
		return element;
	}
	const short = (number) => (Number.isFinite(number) ? String(Number(number.toPrecision(4))) : "\u221e");
	function valueOf(i) {
		if (meta.colours === "groups")
			return colours[i] === NONE ? "no value" : meta.names[colours[i]];
		if (meta.colours === "scale")
			return colours[i] === NONE ? "no value" : short(meta.least + (meta.most - meta.least) * colours[i] / 65534);
		return "";
	}
	function showCard(i, fixed) {
		const card = $("card");
		card.replaceChildren();
		card.hidden = i < 0;
		card.classList.toggle("fixed", fixed);
		if (i < 0)
			return;
		make("b", nameOf(i), card);
		if (labelOf(i))
			make("div", "ID " + idOf(i), card).className = "soft";
		if (meta.colours !== "plain")
			make("div", (meta.colourTitle ? meta.colourTitle + ": " : "") + valueOf(i), card);
		const list = neighbours(i);
		if (list.length > 0) {
			const lines = make("ol", "", card);
			for (const one of list) {
				const line = make("li", "", lines), button = make("button", nameOf(one.at), line);
				button.type = "button";
				button.disabled = one.at >= count;
				button.title = one.at >= count ? "not on this map" : "ID " + idOf(one.at);
				button.addEventListener("click", () => choose(one.at, true));
				make("small", short(one.distance), line);
			}
		} else if (meta.k > 0 && askedAt(i) < 0) {
			make("small", "its neighbours were not asked for", card);
		}
		placeCard(i);
	}
	function placeCard(i) {
		const card = $("card"), x = toX(i), y = toY(i);
		const left = x + 22 + card.offsetWidth < width ? x + 22 : x - 22 - card.offsetWidth;
		card.style.left = Math.max(8, Math.min(width - card.offsetWidth - 8, left)) + "px";
		card.style.top = Math.max(8, Math.min(height - card.offsetHeight - 8, y + 14)) + "px";
	}
	function hover(i) {
		if (i === pointed)
			return;
		pointed = i;
		canvas.classList.toggle("hits", i >= 0);
		showCard(i >= 0 ? i : chosen, i < 0 || i === chosen);
		draw();
	}
	function choose(i, centre) {
		chosen = i;
		pointed = -1;
		if (i >= 0 && centre) {
			view.x = places[2 * i] / 65535;
			view.y = places[2 * i + 1] / 65535;
			view.zoom = Math.max(view.zoom, Math.min(12, 1 + count / 3000));
		}
		showCard(i, true);
		$("say").textContent = i < 0 ? "" : `${nameOf(i)}, ID ${idOf(i)}. ${valueOf(i)}. ` +
			(neighbours(i).length > 0 ? "Near: " + neighbours(i).map((one) => nameOf(one.at)).join(", ") : "");
		moved();
	}

	/* ---- moving ------------------------------------------------------------- */

	function zoom(factor, x = width / 2, y = height / 2) {
		const before = unit(), dx = x - width / 2, dy = y - height / 2;
		view.zoom = Math.max(0.5, Math.min(ZOOM_MAX, view.zoom * factor));
		view.x += dx / before - dx / unit();
		view.y -= dy / before - dy / unit();
		shifted();
	}
	function pan(dx, dy) {
		view.x -= dx / unit();
		view.y += dy / unit();
		shifted();
	}
	function shifted() {
		view.x = Math.max(-0.2, Math.min(1.2, view.x));
		view.y = Math.max(-0.2, Math.min(1.2, view.y));
		if (chosen >= 0)
			placeCard(chosen);
		moved();
	}
	function showAll() {
		[view.x, view.y] = middle();
		view.zoom = 1;
		shifted();
	}

	const pointers = new Map();
	let dragged = 0;
	canvas.addEventListener("pointerdown", (event) => {
		canvas.setPointerCapture(event.pointerId);
		pointers.set(event.pointerId, [event.clientX, event.clientY]);
		if (pointers.size === 1)
			dragged = 0;
	});
	canvas.addEventListener("pointermove", (event) => {
		const last = pointers.get(event.pointerId);
		if (!last) {
			hover(pointAt(event.clientX, event.clientY, 10 + size() / 2));
			return;
		}
		const dx = event.clientX - last[0], dy = event.clientY - last[1];
		dragged += Math.hypot(dx, dy);
		if (pointers.size === 2) {
			const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
			const before = Math.hypot(last[0] - other[0], last[1] - other[1]);
			const after = Math.hypot(event.clientX - other[0], event.clientY - other[1]);
			zoom(before > 0 ? after / before : 1, (event.clientX + other[0]) / 2, (event.clientY + other[1]) / 2);
			pan(dx / 2, dy / 2);
		} else if (dragged > 3) {
			canvas.classList.add("drags");
			pointed = -1;
			pan(dx, dy);
		}
		pointers.set(event.pointerId, [event.clientX, event.clientY]);
	});
	function up(event) {
		if (pointers.delete(event.pointerId) && pointers.size === 0 && dragged <= 3 && event.type === "pointerup")
			choose(pointAt(event.clientX, event.clientY, event.pointerType === "touch" ? 24 : 10 + size() / 2), false);
		canvas.classList.remove("drags");
	}
	canvas.addEventListener("pointerup", up);
	canvas.addEventListener("pointercancel", up);
	canvas.addEventListener("pointerleave", () => hover(-1));
	canvas.addEventListener("wheel", (event) => {
		event.preventDefault();
		zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)), event.clientX, event.clientY);
	}, { passive: false });
	canvas.addEventListener("dblclick", (event) => zoom(2, event.clientX, event.clientY));
	canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
	canvas.addEventListener("webglcontextrestored", () => {
		startGl();
		paint();
		draw();
	});

	let walked = 0;
	function walk() {
		const from = chosen >= 0 ? chosen : pointAt(width / 2, height / 2, Math.max(width, height));
		const list = from >= 0 && chosen >= 0 ? neighbours(from).filter((one) => one.at < count) : [];
		choose(list.length > 0 ? list[walked++ % list.length].at : from, true);
	}
	canvas.addEventListener("keydown", (event) => {
		const keys = {
			ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
			"+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: showAll, n: walk, N: walk,
			Enter: walk, Escape: () => choose(-1, false), "/": () => $("query").focus(),
		};
		if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key])
			return;
		event.preventDefault();
		keys[event.key]();
	});

	/* ---- searching ------------------------------------------------------------ */

	const HITS = 8;
	let hits = [], marked = 0;
	function findId(text) {
		let low = 0, high = count, wanted;
		if (!/^[0-9]{1,20}$/.test(text))
			return -1;
		wanted = meta.idBytes === 8 ? BigInt(text) : Number(text);
		while (low < high) {
			const half = (low + high) >> 1;
			if (ids[half] < wanted)
				low = half + 1;
			else
				high = half;
		}
		return low < count && ids[low] === wanted ? low : -1;
	}
	function search(text) {
		const wanted = text.toLowerCase(), list = [], first = findId(text);
		if (first >= 0)
			list.push(first);
		for (const test of meta.labels && wanted ? [(one) => one === wanted, (one) => one.startsWith(wanted), (one) => one.includes(wanted)] : [])
			for (let i = 0; i < count && list.length < HITS; i++)
				if (meta.labels[i] && test(meta.labels[i].toLowerCase()) && !list.includes(i))
					list.push(i);
		return list;
	}
	function showHits() {
		const text = $("query").value.trim(), list = $("hits");
		hits = text ? search(text) : [];
		marked = 0;
		list.replaceChildren();
		list.hidden = !text;
		hits.forEach((i, at) => {
			const line = make("li", nameOf(i) + " ", list);
			line.setAttribute("role", "option");
			if (labelOf(i))
				make("small", "ID " + idOf(i), line);
			line.addEventListener("pointerdown", (event) => {
				event.preventDefault();
				take(at);
			});
		});
		if (text && hits.length === 0)
			make("li", meta.count < meta.used ? "Not among the vectors that are drawn" : "There is none", list);
		mark();
	}
	function mark() {
		[...$("hits").children].forEach((line, at) => line.setAttribute("aria-selected", String(at === marked && hits.length > 0)));
	}
	function take(at) {
		if (hits[at] === undefined)
			return;
		choose(hits[at], true);
		$("hits").hidden = true;
		canvas.focus();
	}
	$("query").addEventListener("input", showHits);
	$("query").addEventListener("focus", showHits);
	$("query").addEventListener("blur", () => ($("hits").hidden = true));
	$("query").addEventListener("keydown", (event) => {
		const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (event.key === "Escape")
			canvas.focus();
		if (!step)
			return;
		event.preventDefault();
		marked = Math.max(0, Math.min(hits.length - 1, marked + step));
		mark();
	});
	$("find").addEventListener("submit", (event) => {
		event.preventDefault();
		take(marked);
	});

	/* ---- the panels ------------------------------------------------------------ */

	const PATHS = ["M7 1.5A5.5 5.5 0 1 0 7 12.5 5.5 5.5 0 1 0 7 1.5Z", "M7 1 13 7 7 13 1 7Z", "M2 2H12V12H2Z", "M7 1.5 13 12.5H1Z"];
	function swatch(colour, shape) {
		const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
		const path = document.createElementNS(space, "path");
		svg.setAttribute("viewBox", "0 0 14 14");
		svg.setAttribute("aria-hidden", "true");
		path.setAttribute("d", PATHS[shape]);
		path.setAttribute("fill", `rgb(${colour.join(",")})`);
		svg.append(path);
		return svg;
	}
	function showGroups(legend) {
		const totals = new Map();
		for (let i = 0; i < count; i++)
			totals.set(colours[i], (totals.get(colours[i]) || 0) + 1);
		const groups = meta.names.map((name, group) => [group, name]);
		if (totals.has(NONE))
			groups.push([NONE, "no value"]);
		for (const [group, name] of groups) {
			const button = make("button", "", legend);
			button.type = "button";
			button.append(swatch(group === NONE ? GREY() : groupColour(group), group === NONE ? 0 : groupShape(group)));
			make("span", name, button).title = name;
			make("small", (totals.get(group) || 0).toLocaleString("en"), button);
			button.setAttribute("aria-pressed", String(!hidden.has(group)));
			/* a click shows this one alone, and all again; with a key held it takes one away */
			button.addEventListener("click", (event) => {
				const alone = groups.every(([one]) => hidden.has(one) === (one !== group));
				if (event.shiftKey || event.ctrlKey || event.metaKey) {
					if (!hidden.delete(group))
						hidden.add(group);
				} else {
					hidden.clear();
					for (const [one] of alone ? [] : groups)
						if (one !== group)
							hidden.add(one);
				}
				[...legend.querySelectorAll("button")].forEach((one, at) => one.setAttribute("aria-pressed", String(!hidden.has(groups[at][0]))));
				paint();
				chooseLabels();
				draw();
			});
		}
	}
	function showScale(legend) {
		const bar = document.createElement("canvas"), ends = document.createElement("div");
		bar.id = "bar";
		bar.width = 260;
		bar.height = 1;
		const brush = bar.getContext("2d");
		for (let x = 0; x < 260; x++) {
			brush.fillStyle = `rgb(${scaleColour(x / 259).join(",")})`;
			brush.fillRect(x, 0, 1, 1);
		}
		ends.id = "ends";
		make("span", short(meta.least), ends);
		make("span", short((meta.least + meta.most) / 2), ends);
		make("span", short(meta.most), ends);
		legend.append(bar, ends);
	}
	function showLegend() {
		const legend = $("legend");
		legend.replaceChildren();
		legend.hidden = meta.colours === "plain" || count === 0;
		if (legend.hidden)
			return;
		const fold = make("span", meta.colourTitle || "Colours", make("h2", "", legend));
		fold.tabIndex = 0;
		fold.setAttribute("role", "button");
		fold.setAttribute("aria-expanded", String(!legend.classList.contains("folded")));
		fold.addEventListener("click", () => fold.setAttribute("aria-expanded", String(!legend.classList.toggle("folded"))));
		fold.addEventListener("keydown", (event) => {
			if (event.key === "Enter" || event.key === " ")
				fold.click();
		});
		if (meta.colours === "groups")
			showGroups(legend);
		else
			showScale(legend);
	}
	function setTheme(wanted) {
		dark = wanted;
		document.documentElement.classList.toggle("dark", dark);
		ink = { text: colourOf("--text"), halo: colourOf("--halo"), accent: colourOf("--accent") };
		paint();
		showLegend();
		draw();
	}
	$("in").addEventListener("click", () => zoom(1.6));
	$("out").addEventListener("click", () => zoom(1 / 1.6));
	$("all").addEventListener("click", showAll);
	$("theme").addEventListener("click", () => setTheme(!dark));
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches));
	window.addEventListener("resize", resize);

	document.title = meta.name + " \u2013 map";
	$("title").textContent = meta.name;
	$("about").textContent = meta.about;
	for (const note of meta.notes)
		make("p", note, $("notes"));
	$("query").placeholder = meta.labels ? "Find a word or an ID" : "Find an ID";

	$("legend").classList.toggle("folded", innerWidth <= 640); /* or it would hide the map */
	startGl();
	fillGrid();
	resize();
	showAll();
	setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
	requestAnimationFrame(() => {
		drawPoints();
		chooseLabels();
		drawOver();
		performance.mark("map-drawn");
		document.documentElement.dataset.drawn = "yes";
	});
})();
