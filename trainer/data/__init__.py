"""Built datasets as tf.data, without Keras."""
