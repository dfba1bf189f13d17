// Opens a volume, its prediction and its cells as one aligned, calibrated hyperstack.
//
// Fiji or ImageJ: drag this file onto the window, press Run, name the files. Without dialogs:
//     fiji -batch view.ijm "volume=FILE|prediction=FILE|cells=FILE|voxel=50 4 4|save=FILE"
// where cells and voxel (depth, height and width in nm) may be left out.
//
// Channels: 1 image, 2 probability of cell interior (membrane shows red), 3 outlines of the cells
// (yellow), 4 their numbers (hidden at first). A composite wants one type of pixel. It is 32-bit,
// which holds all of them as they are: 8 bits would round probabilities and cut off numbers.
// Only functions of ImageJ 1 are used.

requires("1.53g");
arguments = getArgument();
if (arguments == "") {
	ask = newArray("volume", "prediction", "cells");
	Dialog.create("Volume, prediction and cells");
	for (i = 0; i < 3; i++)
		Dialog.addFile(ask[i], call("ij.Prefs.get", "unetseg." + ask[i], ""));
	Dialog.addMessage("Without cells: leave the last one empty.");
	Dialog.show();
	for (i = 0; i < 3; i++) {
		path = Dialog.getString();
		call("ij.Prefs.set", "unetseg." + ask[i], path);
		arguments = arguments + ask[i] + "=" + path + "|";
	}
	interactive = true;
} else {
	interactive = false;
}
voxel = value(arguments, "voxel");
target = value(arguments, "save");

setBatchMode(true);
load(value(arguments, "volume"), "image");
getDimensions(width, height, channels, slices, frames);
getMinAndMax(black, white);
getVoxelSize(x, y, z, unit);
if (voxel != "") {
	sizes = split(voxel, " ");
	if (sizes.length != 3) exit("voxel: expected depth, height and width in nm, found " + voxel);
	z = parseFloat(sizes[0]); y = parseFloat(sizes[1]); x = parseFloat(sizes[2]); unit = "nm";
} else if (matches(unit, " *|pixel.*|inch.*")) {
	// The file does not say; the stacks of ISBI 2012 have this.
	x = 4; y = 4; z = 50; unit = "nm";
}
if (interactive) {
	Dialog.create("Size of a voxel");
	Dialog.addNumber("width", x);
	Dialog.addNumber("height", y);
	Dialog.addNumber("depth (distance of slices)", z);
	Dialog.addString("unit", unit);
	Dialog.show();
	x = Dialog.getNumber(); y = Dialog.getNumber(); z = Dialog.getNumber(); unit = Dialog.getString();
}

load(value(arguments, "prediction"), "probability");
checkSize("probability", width, height, slices);
merge = "c1=image c2=probability";
cells = value(arguments, "cells");
if (cells != "") {
	load(cells, "numbers");
	checkSize("numbers", width, height, slices);
	getLut(reds, greens, blues);
	if (nSlices > 1) Stack.getStatistics(count, mean, min, most);
	else getStatistics(count, mean, min, most);
	outline("numbers", "outlines");
	merge = merge + " c3=outlines c4=numbers";
}
toFloat("image"); toFloat("probability");
if (cells != "") toFloat("numbers");
run("Merge Channels...", merge + " create");
rename("unetseg");
setVoxelSize(x, y, z, unit);

Stack.setChannel(1); run("Grays"); setMinAndMax(black, white);
Stack.setChannel(2); ramp(255, 51, 26, true); setMinAndMax(0, 1);
if (cells != "") {
	Stack.setChannel(3); ramp(255, 255, 0, false); setMinAndMax(0, 1);
	Stack.setChannel(4); setLut(reds, greens, blues); setMinAndMax(0, most);
	Stack.setActiveChannels("1110");
}
Stack.setChannel(1);
if (target != "") saveAs("Tiff", target);
if (interactive || target == "") setBatchMode(false);

// What a|b=c|d=e says of a name; empty if nothing.
function value(arguments, name) {
	parts = split(arguments, "|");
	for (i = 0; i < parts.length; i++)
		if (startsWith(parts[i], name + "="))
			return substring(parts[i], lengthOf(name) + 1);
	return "";
}

// Opens a stack of slices, whichever way its file counts them.
function load(path, title) {
	if (!File.exists(path)) exit(title + ": expected a file, found none at '" + path + "'");
	open(path);
	rename(title);
	if (bitDepth() == 24) exit(title + ": expected grey levels, found colours in " + path);
	if (nSlices > 1) Stack.setDimensions(1, nSlices, 1);
}

function checkSize(title, width, height, slices) {
	getDimensions(w, h, c, s, f);
	if (w != width || h != height || s != slices)
		exit(title + ": expected " + slices + " slices of " + height + " x " + width
			+ ", as in the volume, found " + s + " of " + h + " x " + w);
}

function toFloat(title) {
	selectWindow(title);
	if (bitDepth() != 32) run("32-bit");
}

// 1 on the pixels between cells that touch one, 0 elsewhere.
function outline(labels, title) {
	selectWindow(labels);
	run("Duplicate...", "title=inside duplicate");
	toFloat("inside");
	run("Max...", "value=1 stack");
	run("Duplicate...", "title=wider duplicate");
	run("Maximum...", "radius=1 stack");
	imageCalculator("Subtract create stack", "wider", "inside");
	rename(title);
	selectWindow("wider"); close();
	selectWindow("inside"); close();
}

// A table of colours from black to one colour, or from the colour to black.
function ramp(red, green, blue, falling) {
	reds = newArray(256); greens = newArray(256); blues = newArray(256);
	for (i = 0; i < 256; i++) {
		share = i / 255;
		if (falling) share = 1 - share;
		reds[i] = red * share; greens[i] = green * share; blues[i] = blue * share;
	}
	setLut(reds, greens, blues);
}
