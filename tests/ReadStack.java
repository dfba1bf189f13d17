import ij.IJ;
import ij.ImagePlus;
import ij.measure.Calibration;
import ij.process.ImageProcessor;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;

/** Opens TIFFs with ImageJ; writes the shape and every pixel of each, as ImageJ sees them. */
public class ReadStack {
    /** Arguments: a TIFF and what to write, as often as wanted. */
    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < arguments.length; i += 2) {
            FileOutputStream file = new FileOutputStream(arguments[i + 1]);
            try (DataOutputStream out = new DataOutputStream(new BufferedOutputStream(file))) {
                write(IJ.openImage(arguments[i]), out);
            }
        }
    }

    private static void write(ImagePlus image, DataOutputStream out) throws Exception {
        out.writeInt(image.getStackSize());
        out.writeInt(image.getHeight());
        out.writeInt(image.getWidth());
        out.writeInt(image.getBitDepth());
        out.writeInt(image.getNChannels());
        out.writeDouble(image.getDisplayRangeMin());
        out.writeDouble(image.getDisplayRangeMax());
        Calibration size = image.getCalibration();
        out.writeDouble(size.pixelDepth);
        out.writeDouble(size.pixelHeight);
        out.writeDouble(size.pixelWidth);
        out.writeUTF(size.getUnit());
        byte[] row = new byte[4 * image.getWidth()];
        for (int z = 1; z <= image.getStackSize(); z++) {
            ImageProcessor slice = image.getStack().getProcessor(z);
            for (int y = 0; y < image.getHeight(); y++) {
                java.nio.ByteBuffer bytes = java.nio.ByteBuffer.wrap(row);
                for (int x = 0; x < image.getWidth(); x++) bytes.putFloat(slice.getf(x, y));
                out.write(row);
            }
        }
    }
}
